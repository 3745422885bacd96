/** A real browser in front of real agents, whose addresses are in variables (tests/page/test_page.py starts them). */
import assert from 'node:assert/strict'
import { chromium } from 'playwright-core'

export const AGENTS = JSON.parse(process.env.AGENTS ?? '{}')
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium'

let browser

export async function open(address, { signIn, beside = [], ...wanted } = {}) {
  browser ??= await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] })
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: 'en-GB', ...wanted })
  // Bounds of a hang alone: nothing here is quick or slow on a busy machine.
  context.setDefaultTimeout(Number(process.env.PATIENCE ?? 180_000))
  const page = await context.newPage()
  const said = []
  const out = []
  const { origin } = new URL(address)
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && said.push(message.text()))
  page.on('pageerror', (error) => said.push(error.message))
  context.on('request', (request) => {
    const url = new URL(request.url())
    if (url.origin !== origin && !beside.includes(url.origin) && !['data:', 'blob:'].includes(url.protocol)) out.push(request.url())
  })
  await page.goto(address)
  if (signIn) {
    await page.fill('input[type=password]', signIn)
    await page.keyboard.press('Enter')
  }
  if (signIn !== null) await page.waitForSelector('#message')
  return {
    page,
    context,
    said,
    out,
    /** End, and hold the page to what it promises of itself. */
    async close({ expected = /(?!)/ } = {}) {
      await context.close()
      assert.deepEqual(out, [], 'a request left the origin')
      assert.deepEqual(said.filter((text) => !expected.test(text)), [], 'the console is not empty')
    },
  }
}

export async function shut() {
  await browser?.close()
  browser = undefined
}

/** Say something, and wait until the agent has answered. */
export async function say(page, text) {
  const before = await page.locator('.log > .column > *').count()
  await page.fill('#message', text)
  await page.keyboard.press('Enter')
  await page.waitForFunction((count) => document.querySelectorAll('.log > .column > *').length > count, before)
  await idle(page)
}

/** Wait until no run is followed. */
export async function idle(page) {
  await page.waitForFunction(() => document.querySelector('.log')?.getAttribute('aria-busy') === 'false')
}

export function last(page) {
  return page.locator('.entry .prose').last()
}
