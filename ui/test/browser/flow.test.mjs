/** The page of a workflow: runs are begun, followed, decided for, ended and repeated, and nothing that agents say gets out. */
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { after, test } from 'node:test'
import { AGENTS, open, shut } from './lib.mjs'

after(shut)

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js')
const KEY = 'right-key-of-the-page'

const step = (page, name) => page.locator('details.tool', { has: page.locator('.name', { hasText: new RegExp(`^${name}$`) }) })
const badge = (page, text) => page.locator('.column header .badge', { hasText: text })
let number = 0

async function opened(wanted = {}) {
  const found = await open(AGENTS.flow, { signIn: null, ...wanted })
  await found.page.waitForSelector('form.sheet')
  return found
}

/** Begin a run on the form; return its name. */
async function begin(page, topic, name = `run-${process.pid}-${++number}`) {
  await page.fill('[name=topic]', topic)
  await page.fill('[name=" name"]', name)
  await page.click('form.sheet [type=submit]')
  await page.locator('h2', { hasText: name }).waitFor()
  return name
}

async function decided(page, word = 'Allow') {
  await page.locator('.pending').waitFor()
  await page.check(`.pending label:has-text("${word}") input`)
  await page.click('.pending [type=submit]')
}

test('a run is begun, waits for a decision, and shows what each step has answered', async () => {
  const { page, close } = await opened()
  assert.equal(await page.locator('h1').innerText(), 'Reports')
  assert.match(await page.locator('form.sheet').innerText(), /buys <b>sources<\/b>/)
  const name = await begin(page, 'plans')
  await page.locator('.pending pre', { hasText: '"amount": 5' }).waitFor()
  await page.locator('.sessions .badge', { hasText: 'waits for a decision' }).waitFor()
  assert.equal(new URL(page.url()).hash, `#${name}`)
  await decided(page)
  await badge(page, 'succeeded').waitFor()
  assert.equal(await page.locator('.pending').count(), 0)
  await page.locator('section[aria-label=Result] td', { hasText: '290' }).waitFor()
  await step(page, 'research').locator('summary').click()
  await step(page, 'research').locator('pre', { hasText: 'There are two plans.' }).waitFor()
  assert.match(await step(page, 'write').innerText(), /after buy|writer · succeeded/)
  await page.locator('details', { hasText: 'Inputs' }).locator('summary').last().click()
  await page.locator('pre', { hasText: '"depth": "quick"' }).waitFor()
  await close()
})

test('a step that asks twice is decided for twice', async () => {
  const { page, close } = await opened()
  await begin(page, 'pays twice')
  const taken = []
  page.on('response', (answer) => answer.url().endsWith('/approvals') && answer.ok() && taken.push(answer.url()))
  // Both forms look the same, and the second may be there before the first is seen to go.
  for (let tries = 0; tries < 150 && !(await badge(page, 'succeeded').isVisible()); tries++) {
    await page.click('.pending [type=submit]', { timeout: 1000 }).catch(() => undefined)
    await page.waitForTimeout(300)
  }
  await badge(page, 'succeeded').waitFor()
  assert.ok(taken.length >= 2, `${taken.length} decisions`)
  await close({ expected: /40\d/ })
})

test('a run is there again after a reload, in another tab, and by its address', async () => {
  const { page, context, close } = await opened()
  const name = await begin(page, 'reload')
  await page.locator('.pending').waitFor()
  await page.reload()
  await page.locator('.pending').waitFor()
  const other = await context.newPage()
  await other.goto(page.url())
  await decided(other)
  await badge(page, 'succeeded').waitFor() // it is told without looking
  await page.click('.sidebar .primary')
  await page.locator('form.sheet').waitFor()
  assert.equal(new URL(page.url()).hash, '')
  await page.locator('.sessions .title', { hasText: name }).click()
  await badge(page, 'succeeded').waitFor()
  await page.goBack()
  await page.locator('form.sheet').waitFor()
  for (const name of ['nobody', '../info', '%']) {
    await page.goto(`${AGENTS.flow}#${name}`)
    await page.locator('[role=alert]', { hasText: /no such run/i }).waitFor()
    await page.click('.sidebar .primary')
    await page.locator('[role=alert]').waitFor({ state: 'detached' })
  }
  const late = `late-${process.pid}`
  await page.goto(`${AGENTS.flow}#${late}`)
  await page.locator('[role=alert]', { hasText: /no such run/i }).waitFor()
  await begin(page, 'gratis', late)
  await badge(page, 'succeeded').waitFor()
  await close({ expected: /404/ })
})

test('a failed run says why, and begins again where it failed', async () => {
  const { page, close } = await opened()
  await begin(page, `gratis trouble ${process.pid}`)
  await badge(page, 'failed').waitFor()
  assert.match(await page.locator('.failure').innerText(), /StepFailed/)
  await step(page, 'write').locator('summary').click()
  await step(page, 'write').locator('.notice').waitFor()
  await page.selectOption('.sidebar select', 'Failed')
  await page.waitForFunction(() => [...document.querySelectorAll('.sessions .badge')].every((one) => one.textContent === 'failed'))
  await page.click('button:has-text("Try again")')
  await badge(page, 'succeeded').waitFor()
  assert.equal(await page.locator('.column > .failure').count(), 0)
  await close()
})

test('a run is stopped, and what is refused goes on without', async () => {
  const { page, close } = await opened()
  await begin(page, 'stop')
  await page.locator('.pending').waitFor()
  await page.click('.column button:has-text("Stop")')
  await badge(page, 'failed').waitFor()
  assert.match(await page.locator('.failure').innerText(), /Cancelled/)
  await page.click('.sidebar .primary')
  await begin(page, 'refused')
  await decided(page, 'Deny')
  await badge(page, 'succeeded').waitFor()
  await close()
})

test('inputs that are wrong are told, and nothing is begun', async () => {
  const { page, close } = await opened()
  const runs = await page.locator('.sessions li').count()
  await page.click('form.sheet [type=submit]')
  assert.equal(await page.evaluate(() => document.activeElement?.getAttribute('name')), 'topic')
  await page.fill('[name=topic]', 'x')
  await page.fill('[name=sources]', 'not json')
  await page.click('form.sheet [type=submit]')
  await page.locator('[role=alert]', { hasText: 'not JSON' }).waitFor()
  await page.fill('[name=sources]', '[1]')
  await page.click('form.sheet [type=submit]')
  await page.locator('[role=alert]', { hasText: /sources/ }).waitFor()
  await page.fill('[name=sources]', '["a"]')
  assert.equal(await page.locator('.sessions li').count(), runs)
  await page.selectOption('[name=depth]', '"deep"')
  await page.fill('[name=pages]', '3')
  await begin(page, 'right')
  await page.locator('details', { hasText: 'Inputs' }).locator('summary').last().click()
  const given = JSON.parse(await page.locator('.column > details pre').innerText())
  assert.deepEqual(given, { topic: 'right', depth: 'deep', pages: 3, sources: ['a'] })
  await page.locator('.pending').waitFor()
  await page.click('.column button:has-text("Stop")')
  await badge(page, 'failed').waitFor()
  await close({ expected: /422|400/ })
})

test('a connection that is cut is made again', async () => {
  const { page, context, close } = await opened()
  await begin(page, 'cut')
  await page.locator('.pending').waitFor()
  const { origin } = new URL(AGENTS.flow)
  await context.route(/events$/, (route) => route.abort())
  await page.evaluate(() => dispatchEvent(new HashChangeEvent('hashchange'))) // the stream that was open is let go
  await page.locator('.notice', { hasText: 'cut' }).waitFor()
  await context.unroute(/events$/)
  const at = new URL(page.url()).hash.slice(1)
  const { pending } = await (await fetch(`${origin}/runs/${at}/steps/buy`)).json()
  const decisions = pending.calls.map(({ id, digest }) => ({ id, digest, approved: true }))
  await fetch(`${origin}/runs/${at}/steps/buy/approvals`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ decisions }),
  })
  await badge(page, 'succeeded').waitFor()
  await close({ expected: /ERR_FAILED/ })
})

test('whoever has no key sees nothing, and signing out takes everything away', async () => {
  const { page, close } = await open(AGENTS.flowKeyed, { signIn: null })
  await page.waitForSelector('input[type=password]')
  assert.equal(await page.locator('h1').innerText(), 'Reports')
  await page.fill('input[type=password]', 'wrong')
  await page.keyboard.press('Enter')
  await page.locator('[role=alert]').waitFor()
  await page.fill('input[type=password]', KEY)
  await page.keyboard.press('Enter')
  const name = await page.waitForSelector('form.sheet').then(() => begin(page, 'gratis'))
  await badge(page, 'succeeded').waitFor()
  assert.ok(!page.url().includes(KEY))
  await page.click('[aria-label="Sign out"]')
  await page.waitForSelector('input[type=password]')
  assert.ok(!(await page.content()).includes(name))
  await close({ expected: /401/ })
})

for (const bypassCSP of [false, true])
  test(`what agents write leads nowhere by itself, ${bypassCSP ? 'even without' : 'with'} the policy`, async () => {
    const { page, close } = await opened({ bypassCSP })
    await begin(page, 'gratis hostile')
    await badge(page, 'succeeded').waitFor()
    await page.locator('section[aria-label=Result] .prose').first().waitFor()
    await step(page, 'write').locator('summary').click()
    await step(page, 'write').locator('.prose').waitFor()
    const found = await page.evaluate(() => ({
      links: [...document.querySelectorAll('main a')].map((one) => one.protocol),
      loads: document.querySelectorAll('main :is(img, script, iframe, object, embed, link, style, form, svg image)').length,
      handlers: [...document.querySelectorAll('main *')].flatMap((one) => one.getAttributeNames()).filter((name) => /^on|^style$|^src/.test(name)),
    }))
    assert.deepEqual(found.links.filter((one) => !['http:', 'https:', 'mailto:'].includes(one)), [])
    assert.equal(found.loads, 0)
    assert.deepEqual(found.handlers, [])
    await close()
  })

for (const colorScheme of ['light', 'dark'])
  test(`axe finds nothing in the page of a workflow, ${colorScheme}`, async () => {
    const { page, close } = await opened({ colorScheme, bypassCSP: true })
    await page.addScriptTag({ path: AXE })
    const clean = async (state) => {
      const found = await page.evaluate(async () => (await window.axe.run()).violations)
      const said = found.map((one) => `${one.id}: ${one.nodes.map((node) => node.html.slice(0, 160)).join(' | ')}`)
      assert.deepEqual(said, [], state)
    }
    await clean('a new run')
    await begin(page, `trouble axe ${colorScheme}`)
    await page.locator('.pending').waitFor()
    await clean('waits')
    await decided(page)
    await badge(page, 'failed').waitFor()
    await step(page, 'write').locator('summary').click()
    await step(page, 'write').locator('.notice').waitFor()
    await clean('failed')
    await page.click('button:has-text("Try again")')
    await badge(page, 'succeeded').waitFor()
    await step(page, 'research').locator('summary').click()
    await step(page, 'research').locator('pre').waitFor()
    await clean('succeeded')
    await page.click('[aria-label=Settings]')
    await clean('settings')
    await close()
  })

for (const width of [320, 820, 1920])
  test(`nothing of the page of a workflow is wider than ${width} px, and the keyboard reaches it`, async () => {
    const { page, close } = await opened({ viewport: { width, height: 700 } })
    const fits = async () => {
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
      assert.ok(wide <= 0, `${wide} px too wide`)
    }
    await fits()
    await page.focus('[name=topic]')
    await page.keyboard.type('gratis hostile')
    for (const _ of ['depth', 'pages', 'sources', 'name', 'submit']) await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await badge(page, 'succeeded').waitFor()
    assert.equal(await page.evaluate(() => document.activeElement?.tagName), 'H2')
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await page.locator('details[open].tool').waitFor()
    await fits()
    await close()
  })

test('it is in Korean, too', async () => {
  const { page, close } = await opened({ locale: 'ko-KR' })
  await page.locator('h2', { hasText: '새 실행' }).waitFor()
  await page.fill('[name=topic]', `gratis twice ${process.pid}`)
  await page.dblclick('form.sheet [type=submit]')
  await badge(page, '성공').waitFor()
  // One run, though the button was pressed twice, and nothing is said of a connection that ended with it.
  const { items } = await (await fetch(`${AGENTS.flow}runs?limit=2`)).json()
  const given = await Promise.all(items.map(async (one) => (await (await fetch(`${AGENTS.flow}runs/${one.name}`)).json()).spec.input.topic))
  assert.equal(given.filter((one) => one === `gratis twice ${process.pid}`).length, 1)
  await page.waitForFunction(() => document.querySelector('[role=status]').textContent === '성공')
  assert.equal(await page.locator('.notice').count(), 0)
  await close()
})
