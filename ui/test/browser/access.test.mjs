/** For everyone: axe, the keyboard alone, narrow screens, forced colours, less motion. */
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { after, test } from 'node:test'
import { AGENTS, idle, open, say, shut } from './lib.mjs'

after(shut)

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js')
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']

/** What a state is made of, by its name. */
const STATES = {
  'the sign-in': [AGENTS.keyed, { signIn: null }, async () => {}],
  'a new conversation': [AGENTS.plain, {}, async () => {}],
  'an answer': [AGENTS.plain, {}, (page) => say(page, '### a\n\n| a |\n|---|\n| 1 |\n\n| b |\n|---|\n| 2 |\n\n```\nx\n```\n\n> q\n\n- [x](https://a.example)')],
  'a call': [
    AGENTS.plain,
    {},
    async (page) => {
      await say(page, 'call look_up {"id": "A1"}')
      await page.click('.tool summary')
      await page.click('[aria-label=Tools]')
    },
  ],
  'an approval': [AGENTS.plain, {}, (page) => say(page, 'call pay {"amount": 5}')],
  'a failure': [AGENTS.plain, {}, (page) => say(page, 'fail server_error')],
  'the settings': [AGENTS.plain, {}, (page) => page.click('[aria-label=Settings]')],
  'the tour': [AGENTS.plain, {}, (page) => page.click('[aria-label="About this agent"]')],
  'a question before deleting': [
    AGENTS.plain,
    {},
    async (page) => {
      await say(page, 'hello')
      await page.locator('.sessions [aria-label^="Delete"]').first().click()
    },
  ],
  'the menu of a phone': [AGENTS.plain, { viewport: { width: 390, height: 780 } }, (page) => page.click('button[aria-label=Conversations]')],
}

for (const [name, [address, wanted, act]] of Object.entries(STATES))
  for (const colorScheme of ['light', 'dark'])
    test(`axe finds nothing in ${name}, ${colorScheme}`, async () => {
      const { page, context, close } = await open(address, { colorScheme, bypassCSP: true, ...wanted })
      await act(page)
      await page.addScriptTag({ path: AXE })
      const found = await page.evaluate(async (values) => (await window.axe.run({ runOnly: { type: 'tag', values } })).violations, TAGS)
      assert.deepEqual(found.map((one) => `${one.id}: ${one.nodes.map((node) => node.html.slice(0, 160)).join(' | ')}`), [])
      void context
      await close({ expected: /401/ })
    })

for (const width of [320, 390, 820, 1280, 1920])
  test(`nothing is wider than the page at ${width} px`, async () => {
    const { page, close } = await open(AGENTS.plain, { viewport: { width, height: 800 } })
    await say(page, `${'w'.repeat(300)} | ${'a|'.repeat(40)}`)
    await say(page, 'call look_up {"id": "A1"}')
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
    assert.ok(wide <= 0, `${wide} px too wide`)
    await close()
  })

test('everything can be done with the keyboard alone', async () => {
  const { page, close } = await open(AGENTS.plain)
  const at = () => page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent ?? '')
  const tabTo = async (wanted) => {
    for (let n = 0; n < 60; n++) {
      await page.keyboard.press('Tab')
      if ((await at()).includes(wanted)) return
    }
    assert.fail(`${wanted} cannot be reached`)
  }
  await page.keyboard.press('Tab')
  assert.equal(await at(), 'Skip to the message')
  await page.keyboard.press('Enter')
  assert.equal(await at(), 'Message')
  await page.keyboard.type('call pay {"amount": 5}')
  await page.keyboard.press('Enter')
  await page.waitForSelector('.pending')
  await tabTo('Edit arguments')
  await tabTo('Send decision')
  await page.keyboard.press('Enter')
  await page.waitForSelector('.pending', { state: 'detached' })
  await idle(page)
  await page.keyboard.press('Control+k')
  await page.waitForFunction(() => document.activeElement?.id === 'search')
  await tabTo('Rename')
  await page.keyboard.press('Enter')
  await page.keyboard.press('Escape')
  await tabTo('Settings')
  await page.keyboard.press('Enter')
  await page.waitForSelector('dialog')
  await page.keyboard.press('Escape')
  await page.waitForFunction(() => document.activeElement?.getAttribute('aria-label') === 'Settings')
  await close()
})

test('less motion and forced colours are obeyed', async () => {
  const { page, close } = await open(AGENTS.plain, { reducedMotion: 'reduce', forcedColors: 'active' })
  await page.fill('#message', 'wait 600 say 1 words')
  await page.keyboard.press('Enter')
  await page.waitForSelector('.working', { state: 'attached' })
  assert.equal(await page.evaluate(() => getComputedStyle(document.querySelector('.working'), '::after').animationName), 'none')
  await page.click('[aria-label=Stop]')
  await idle(page)
  await close()
})
