/** Long answers and long conversations stay quick. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { AGENTS, idle, open, shut } from './lib.mjs'

after(shut)

test('5,000 tokens at 500 a second beside a hundred conversations keep the page awake', async () => {
  const { page, context, close } = await open(AGENTS.flood)
  await page.waitForFunction(() => document.querySelectorAll('.sessions li').length >= 30)
  while (await page.locator('.sidebar > .quiet').count()) {
    const before = await page.locator('.sessions li').count()
    await page.click('.sidebar > .quiet')
    await page.waitForFunction((count) => document.querySelectorAll('.sessions li').length > count, before)
  }
  assert.ok((await page.locator('.sessions li').count()) >= 100)
  const devtools = await context.newCDPSession(page)
  await devtools.send('Performance.enable')
  await page.evaluate(() => {
    window.tasks = []
    new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map((one) => Math.round(one.duration)))).observe({ entryTypes: ['longtask'] })
  })
  const spent = async () => (await devtools.send('Performance.getMetrics')).metrics.find((one) => one.name === 'ScriptDuration').value
  const before = await spent()
  await page.fill('#message', 'flood')
  await page.keyboard.press('Enter')
  await page.waitForFunction(() => document.querySelector('.prose')?.textContent?.includes('token4999'), null, { timeout: 60_000 })
  await idle(page)
  const script = (await spent()) - before
  const tasks = await page.evaluate(() => window.tasks)
  console.log(JSON.stringify({ script, tasks }))
  // A machine of two cores that others use: the promise is 3 s and none above 100 ms; this catches a page that grinds.
  assert.ok(script < 6, `script took ${script} s of 10`)
  assert.ok(tasks.filter((one) => one > 300).length === 0, `long tasks: ${tasks}`)
  await close()
})

test('a conversation of 200 messages is there at once, and the rest on request', async () => {
  const { page, close } = await open(AGENTS.flood)
  await page.fill('#search', 'Long')
  await page.waitForFunction(() => document.querySelectorAll('.sessions li').length === 1)
  const began = Date.now()
  await page.click('.sessions .title')
  await page.waitForFunction(() => document.querySelectorAll('.entry').length >= 60)
  console.log(JSON.stringify({ shown: Date.now() - began }))
  await page.click('.log .column > .quiet')
  await page.waitForFunction(() => document.querySelectorAll('.entry').length >= 200)
  assert.equal(await page.locator('.log .column > .quiet').count(), 0)
  await close()
})
