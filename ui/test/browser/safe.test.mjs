/** Whatever an agent says: no request leaves the origin, nothing runs, and nobody's key is where it should not be. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, test } from 'node:test'
import { AGENTS, open, shut } from './lib.mjs'

after(shut)

const HOSTILE = JSON.parse(readFileSync(new URL('../hostile.json', import.meta.url), 'utf8'))

for (const [name, address] of Object.entries({ 'its policy': AGENTS.hostile, 'no policy at all': AGENTS.hostileBare }))
  test(`a hostile answer, told in pieces, asks nobody and runs nothing with ${name}`, async () => {
    const { page, close } = await open(address)
    page.on('dialog', (dialog) => assert.fail(`a dialog: ${dialog.message()}`))
    for (const [number, text] of HOSTILE.entries()) {
      // The agent answers with the text of that number, a few characters at a time.
      await page.fill('#message', `hostile ${number}`)
      await page.keyboard.press('Enter')
      await page.waitForFunction((count) => document.querySelectorAll('.entry .prose').length === count, number + 1)
      await page.waitForFunction(() => document.querySelector('.log')?.getAttribute('aria-busy') === 'false')
      const made = await page.locator('.entry .prose').last().evaluate((element) => ({
        bad: [...element.querySelectorAll('img,script,style,iframe,object,embed,link,svg,form,input,video,audio,base,meta')].map((one) => one.outerHTML),
        handlers: [...element.querySelectorAll('*')].flatMap((one) => one.getAttributeNames().filter((attribute) => /^on|style|src/.test(attribute))),
        links: [...element.querySelectorAll('a')].map((one) => one.href),
      }))
      assert.deepEqual(made.bad, [], text)
      assert.deepEqual(made.handlers, [], text)
      for (const link of made.links) assert.match(link, /^(https?:\/\/[^@]*$|mailto:)/, text)
    }
    await close()
  })

test('one signs in with a key, which stays in this tab and out of every address', async () => {
  const { page, context, close } = await open(AGENTS.keyed, { signIn: null })
  const asked = []
  context.on('request', (request) => asked.push(request.url()))
  await page.fill('input[type=password]', 'wrong')
  await page.keyboard.press('Enter')
  await page.waitForSelector('[role=alert]')
  await page.fill('input[type=password]', 'right-key-of-the-page')
  await page.keyboard.press('Enter')
  await page.waitForSelector('#message')
  await page.reload()
  await page.waitForSelector('#message')
  assert.ok(!asked.some((url) => url.includes('right-key-of-the-page')))
  assert.equal(await page.evaluate(() => Object.keys(localStorage).concat(document.cookie).join().includes('right-key-of-the-page')), false)
  const stranger = await context.newPage()
  await stranger.goto(AGENTS.keyed)
  await stranger.waitForSelector('input[type=password]')
  await page.click('[aria-label="Sign out"]')
  await page.waitForSelector('input[type=password]')
  await page.reload()
  await page.waitForSelector('input[type=password]')
  await close({ expected: /401/ })
})

test('agents below one host do not see each other’s keys', async () => {
  const { page, close } = await open(AGENTS.keyedA, { signIn: 'right-key-of-the-page' })
  await page.goto(AGENTS.keyedB)
  await page.waitForSelector('input[type=password]')
  const sent = []
  page.on('request', (request) => sent.push(request.headers()['authorization']))
  await page.reload()
  await page.waitForSelector('input[type=password]')
  assert.deepEqual(sent.filter(Boolean), [])
  await close({ expected: /401/ })
})

test('what was written is kept when a sign-in expires', async () => {
  const { page, context, close } = await open(AGENTS.keyed, { signIn: 'right-key-of-the-page' })
  await context.route('**/chat', (route) => route.fulfill({ status: 401, contentType: 'application/json', body: '{"code":"unauthenticated"}' }))
  await page.fill('#message', 'hello')
  await page.keyboard.press('Enter')
  await page.waitForSelector('input[type=password]')
  assert.match(await page.locator('form').innerText(), /expired/)
  await context.unroute('**/chat')
  await page.fill('input[type=password]', 'right-key-of-the-page')
  await page.keyboard.press('Enter')
  await page.waitForSelector('#message')
  await close({ expected: /401/ })
})

test('the page cannot be framed', async () => {
  const { page, close } = await open(AGENTS.plain)
  await page.goto('about:blank')
  await page.setContent(`<iframe src="${AGENTS.plain}"></iframe>`)
  await page.waitForTimeout(500)
  const inside = page.frames()[1]
  assert.equal(await inside?.locator('#app').count().catch(() => 0), 0)
  await close({ expected: /frame-ancestors|Framing|ERR_BLOCKED/ })
})

test('one signs in at the issuer and comes back to an address without a code', async () => {
  const { page, context, close } = await open(AGENTS.people, { signIn: null, beside: [AGENTS.issuer] })
  const sent = []
  context.on('request', (request) => sent.push([request.url(), request.headers()['authorization']]))
  await page.click('button.primary')
  await page.waitForSelector('#message')
  assert.equal(page.url(), AGENTS.people)
  await page.reload()
  await page.waitForSelector('#message')
  assert.ok(sent.some(([url, header]) => url.endsWith('/info') && header?.startsWith('Bearer ey')))
  assert.ok(!sent.some(([url, header]) => url.startsWith(AGENTS.issuer) && header), 'a token went to the issuer')
  await close({ expected: /401/ })
})

test('a sign-in that is refused, or that nobody here has begun, says so and signs nobody in', async () => {
  const { page, close } = await open(AGENTS.refused, { signIn: null, beside: [AGENTS.issuer] })
  await page.click('button.primary')
  await page.waitForSelector('[role=alert]')
  assert.match(await page.locator('[role=alert]').innerText(), /access_denied/)
  await page.goto(`${AGENTS.refused}?code=stolen&state=theirs`)
  await page.waitForSelector('input[type=password]')
  assert.equal(page.url(), AGENTS.refused)
  await close({ expected: /401/ })
})

test('a page of another origin, or another name for this machine, gets nothing', async () => {
  const { page, close } = await open(AGENTS.keyed, { signIn: 'right-key-of-the-page', beside: [new URL(AGENTS.plain).origin] })
  // A page of another origin cannot read answers, and no cookie signs it in.
  const read = await page.evaluate(async (address) => {
    const answer = await fetch(`${address}info`).catch((error) => error.message)
    return typeof answer === 'string' ? answer : answer.status
  }, AGENTS.plain)
  assert.equal(typeof read, 'string')
  const { status } = await page.request.get(`${AGENTS.plain}info`, { headers: { Host: 'evil.example' } }).then((answer) => ({ status: answer.status() }))
  assert.equal(status, 421)
  await close({ expected: /Failed to load|Content Security Policy|Refused to connect|CORS|violates/ })
})
