/** The page of a fleet: where agents are, how they are, what waits there, and who learns which key. */
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { after, test } from 'node:test'
import { AGENTS, open, say, shut } from './lib.mjs'

after(shut)

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js')
const KEY = 'right-key-of-the-page'
/** The agent that is away is asked, and says so in the console as every failed request does. */
const AWAY = /50\d/

const door = (page, name) => page.locator('.door', { hasText: name })

async function signedIn() {
  const opened = await open(AGENTS.fleet, { signIn: null, beside: [AGENTS.issuer] })
  await opened.page.locator('button', { hasText: 'Sign in with' }).click()
  await opened.page.waitForSelector('.door')
  return opened
}

test('whoever may see it sees every agent, and how it is', async () => {
  const { page, close } = await open(AGENTS.alone, { signIn: null })
  await door(page, 'Plain').locator('.badge', { hasText: 'ready' }).waitFor()
  await door(page, 'Gone').locator('.badge', { hasText: 'cannot be reached' }).waitFor()
  assert.equal(await page.title(), 'Agents')
  assert.equal(await page.locator('.door').count(), 8)
  assert.equal(await door(page, 'Plain').locator('.about').innerText(), 'Does <b>things</b>.')
  assert.equal(await door(page, 'Tickets').getAttribute('href'), 'https://tickets.example/')
  await page.fill('input[type=search]', 'PLAI')
  assert.equal(await page.locator('.door').count(), 1)
  await page.fill('input[type=search]', 'nobody')
  await page.locator('text=No agent is called so').waitFor()
  await close({ expected: AWAY })
})

test('an agent is opened from there, and what waits for me there is told', async () => {
  const { page, close } = await open(AGENTS.alone, { signIn: null })
  await door(page, 'Plain').click()
  await page.waitForSelector('#message')
  assert.equal(new URL(page.url()).pathname, '/agents/plain/')
  await say(page, 'call pay {"amount": 5}')
  await page.goBack()
  await door(page, 'Plain').locator('.badge', { hasText: 'waiting for you' }).waitFor()
  await close({ expected: AWAY })
})

test('one signs in once: agents of the same issuer and audience know it, and no others', async () => {
  const asked = []
  const { page, context, close } = await signedIn()
  assert.equal(await page.locator('h1').innerText(), 'Agents of Acme')
  context.on('request', (request) => asked.push([new URL(request.url()).pathname, request.headers()['authorization']]))
  await page.reload()
  await door(page, 'People').locator('.badge', { hasText: 'ready' }).waitFor()
  await door(page, 'Gone').locator('.badge', { hasText: 'cannot' }).waitFor()
  await door(page, 'People').click()
  await page.waitForSelector('#message')
  await say(page, 'hello')
  const told = asked.filter(([path, key]) => key && path.startsWith('/agents/')).map(([path]) => path.split('/')[2])
  assert.deepEqual([...new Set(told)], ['people'])
  await page.goto(AGENTS.fleet)
  await door(page, 'Keyed').click()
  await page.waitForSelector('input[type=password]')
  await close({ expected: AWAY })
})

test('who signs out there is signed out at the agents that shared it', async () => {
  const { page, close } = await signedIn()
  await page.click('[aria-label="Sign out"]')
  await page.waitForSelector('input[type=password]')
  assert.equal(await page.locator('.door').count(), 0)
  await page.goto(`${AGENTS.fleet}agents/people/`)
  await page.waitForSelector('input[type=password]')
  await close({ expected: AWAY })
})

test('a token that is wrong, or no longer valid, is told', async () => {
  const { page, close } = await open(AGENTS.fleet, { signIn: null })
  await page.fill('input[type=password]', KEY)
  await page.keyboard.press('Enter')
  await page.locator('[role=alert]').waitFor()
  await page.evaluate(() => sessionStorage.setItem('fleetform:/:key', 'a.b.c'))
  await page.reload()
  await page.waitForSelector('input[type=password]')
  await close({ expected: /401/ })
})

for (const colorScheme of ['light', 'dark'])
  test(`axe finds nothing in the page of a fleet, ${colorScheme}`, async () => {
    const { page, close } = await open(AGENTS.alone, { signIn: null, colorScheme, bypassCSP: true })
    await door(page, 'Gone').locator('.badge').waitFor()
    await page.addScriptTag({ path: AXE })
    const found = await page.evaluate(async () => (await window.axe.run()).violations)
    assert.deepEqual(found.map((one) => `${one.id}: ${one.nodes.map((node) => node.html.slice(0, 160)).join(' | ')}`), [])
    await close({ expected: AWAY })
  })

for (const width of [320, 820, 1920])
  test(`nothing of the page of a fleet is wider than ${width} px, and the keyboard reaches every agent`, async () => {
    const { page, close } = await open(AGENTS.alone, { signIn: null, viewport: { width, height: 700 } })
    await door(page, 'Gone').locator('.badge').waitFor()
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
    assert.ok(wide <= 0, `${wide} px too wide`)
    await page.focus('input[type=search]')
    const reached = new Set()
    for (let number = 0; number < 8; number++) {
      await page.keyboard.press('Tab')
      reached.add(await page.evaluate(() => document.activeElement?.getAttribute('href')))
    }
    assert.equal(reached.size, 8)
    await close({ expected: AWAY })
  })
