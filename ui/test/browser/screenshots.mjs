/** Pictures of the main states for docs/ui.md: `make screenshots`. */
import { AGENTS, idle, open, say, shut } from './lib.mjs'

const folder = process.env.PICTURES

async function picture(page, name) {
  await page.evaluate(() => document.activeElement?.blur())
  await page.screenshot({ path: `${folder}/${name}.png`, animations: 'disabled', caret: 'hide' })
}

async function at(address, wanted, act) {
  const { page, context } = await open(address, { viewport: { width: 1100, height: 700 }, colorScheme: 'light', ...wanted })
  await act(page)
  await context.close()
}

await at(AGENTS.keyed, { signIn: null }, (page) => picture(page, 'sign-in'))
await at(AGENTS.pictures, {}, async (page) => {
  await say(page, 'Which plans are there?')
  await picture(page, 'answer')
  await say(page, 'call look_up {"id": "A1"}')
  await page.click('[aria-label=Tools]')
  await page.click('aside .tool summary')
  await picture(page, 'tools')
  await page.click('aside [aria-label=Close]')
  await say(page, 'call pay {"amount": 5}')
  await picture(page, 'approval')
  await page.click('.pending [type=submit]')
  await page.waitForSelector('.pending', { state: 'detached' })
  await idle(page)
})
await at(AGENTS.flow, { signIn: null }, async (page) => {
  await page.fill('[name=topic]', 'Plans of our rivals')
  await page.fill('[name=" name"]', 'monday')
  await page.click('form.sheet [type=submit]')
  await page.waitForSelector('.pending')
  await page.waitForSelector('.sessions .badge.warm')
  await picture(page, 'workflow')
})
await at(AGENTS.pictures, { colorScheme: 'dark' }, async (page) => {
  await page.locator('.sessions .title').first().click()
  await page.waitForSelector('.entry .prose')
  await picture(page, 'dark')
  await page.click('[aria-label="About this agent"]')
  await picture(page, 'about')
})
await at(AGENTS.pictures, { viewport: { width: 390, height: 720 }, deviceScaleFactor: 1 }, async (page) => {
  await page.click('button[aria-label=Conversations]')
  await page.locator('.sessions .title').first().click()
  await page.waitForSelector('.entry .prose')
  await picture(page, 'phone')
})
await at(AGENTS.fleet, { signIn: null }, async (page) => {
  await page.locator('button', { hasText: 'Sign in with' }).click()
  await page.locator('.door .badge', { hasText: 'cannot be reached' }).waitFor()
  await picture(page, 'fleet')
})
await shut()
