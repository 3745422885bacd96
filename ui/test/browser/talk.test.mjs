/** Conversations: what a person does all day. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { AGENTS, idle, last, open, say, shut } from './lib.mjs'

after(shut)

test('a message is answered as it comes, with Markdown, tokens and cost', async () => {
  const { page, close } = await open(AGENTS.plain)
  await say(page, 'x\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```py\nprint(1)\n```')
  assert.equal(await page.locator('.prose table td').count(), 2)
  assert.match(await page.locator('.prose pre').innerText(), /print\(1\)/)
  assert.match(await page.locator('.entry .small').last().innerText(), /\d+ \+ \d+ tokens · \$0\.0/)
  assert.equal(await page.locator('[role=status]').last().innerText(), 'The answer is complete')
  await close()
})

test('Shift+Enter breaks a line, Enter sends, and an empty message is not sent', async () => {
  const { page, close } = await open(AGENTS.plain)
  await page.focus('#message')
  await page.keyboard.press('Enter')
  assert.equal(await page.locator('.entry').count(), 0)
  await page.keyboard.type('one')
  await page.keyboard.press('Shift+Enter')
  await page.keyboard.type('two')
  await page.keyboard.press('Enter')
  await page.waitForSelector('.asked-by-user')
  assert.equal(await page.locator('.asked-by-user .plain').innerText(), 'one\ntwo')
  await idle(page)
  await close()
})

test('a run is stopped, and can be tried again without a doubled message', async () => {
  const { page, close } = await open(AGENTS.plain)
  await page.fill('#message', 'wait 30 say 3 words')
  await page.keyboard.press('Enter')
  await page.click('[aria-label=Stop]')
  await page.waitForSelector('.note button')
  assert.equal(await page.locator('[role=status]').last().innerText(), 'Stopped')
  await page.click('.note button')
  await page.waitForSelector('[aria-label=Stop]')
  assert.equal(await page.locator('.asked-by-user').count(), 1)
  // Most likely before the run has a name.
  await page.keyboard.press('Escape')
  await page.waitForSelector('.note button')
  await page.reload()
  await page.waitForSelector('.asked-by-user')
  assert.equal(await page.locator('.asked-by-user').count(), 1)
  await close()
})

test('a failure says what went wrong, and another try succeeds', async () => {
  const { page, close } = await open(AGENTS.plain)
  await page.fill('#message', 'fail server_error')
  await page.keyboard.press('Enter')
  await page.waitForSelector('.failure button')
  await say(page, 'say 2 words')
  assert.equal(await last(page).innerText(), 'word1 word2')
  await close()
})

test('an answer goes on after a reload in its midst, each word once', async () => {
  const { page, close } = await open(AGENTS.plain)
  await page.fill('#message', 'say 150 words')
  await page.keyboard.press('Enter')
  await page.waitForFunction(() => document.querySelector('.prose')?.textContent?.includes('word20 '))
  await page.reload()
  await page.waitForFunction(() => document.querySelector('.prose')?.textContent?.includes('word150'))
  await idle(page)
  assert.equal(await last(page).innerText(), Array.from({ length: 150 }, (_, n) => `word${n + 1}`).join(' '))
  assert.equal(await page.locator('.asked-by-user').count(), 1)
  await close()
})

test('an answer goes on after cut connections, each word once', async () => {
  const { page, close } = await open(AGENTS.cut)
  await page.fill('#message', 'say 150 words')
  await page.keyboard.press('Enter')
  await page.waitForFunction(() => document.querySelector('.prose')?.textContent?.includes('word150'))
  await idle(page)
  assert.equal(await last(page).innerText(), Array.from({ length: 150 }, (_, n) => `word${n + 1}`).join(' '))
  await close({ expected: /ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION|Failed to load resource/ })
})

test('another tab sees the conversation, and follows what runs in it', async () => {
  const { page, context, close } = await open(AGENTS.plain)
  await page.fill('#message', 'say 5000 words')
  await page.keyboard.press('Enter')
  await page.waitForSelector('.sessions .badge')
  const other = await context.newPage()
  await other.goto(AGENTS.plain)
  await other.waitForSelector('.sessions .badge')
  assert.equal(await other.locator('.sessions .badge').first().innerText(), 'runs now')
  await other.locator('.sessions .title').first().click()
  await other.waitForFunction(() => document.querySelector('.prose')?.textContent?.includes('word40 '))
  await page.click('[aria-label=Stop]')
  await idle(page)
  await other.waitForSelector('.note button')
  await close()
})

test('conversations are found, renamed, and deleted after a question', async () => {
  const { page, close } = await open(AGENTS.plain)
  const name = `Needle ${Date.now()}`
  await say(page, name)
  await page.fill('#search', name.toLowerCase())
  await page.waitForFunction(() => document.querySelectorAll('.sessions li').length === 1)
  await page.click('.sessions [aria-label^="Rename"]')
  await page.keyboard.press('Control+A')
  await page.keyboard.type(`${name} again`)
  await page.keyboard.press('Enter')
  await page.waitForFunction((text) => document.querySelector('.sessions .text')?.textContent === text, `${name} again`)
  await page.click('.sessions [aria-label^="Delete"]')
  await page.keyboard.press('Escape')
  await page.click('.sessions [aria-label^="Delete"]')
  await page.click('.sessions .danger')
  await page.waitForFunction(() => document.querySelectorAll('.sessions li').length === 0)
  assert.equal(await page.locator('.entry').count(), 0)
  await close()
})

test('what a call was asked, gave and took stands in the log and beside it, after a reload too', async () => {
  const { page, close } = await open(AGENTS.plain)
  await say(page, 'call look_up {"id": "A1"}')
  for (const again of [false, true]) {
    if (again) {
      await page.reload()
      await page.waitForSelector('.tool')
    }
    await page.click('[aria-label=Tools]')
    await page.click('aside .tool summary')
    const text = await page.locator('aside .tool').innerText()
    assert.match(text, /look_up\s*done · [\d.]+ m?s/)
    assert.match(text, /"id": "A1"/)
    assert.match(text, /"tier":\s*"gold"/)
  }
  await close()
})

test('an approval is decided with other arguments, and is still there after a reload', async () => {
  const { page, close } = await open(AGENTS.plain)
  await say(page, 'call pay {"amount": 5}')
  await page.waitForSelector('.pending')
  assert.equal(await page.evaluate(() => document.activeElement?.tagName), 'H2')
  await page.reload()
  await page.waitForSelector('.pending')
  await page.click('.pending .quiet')
  await page.fill('.pending textarea', '{"amount": ')
  await page.click('.pending [type=submit]')
  assert.match(await page.locator('.pending [role=alert]').innerText(), /not JSON/)
  await page.fill('.pending textarea', '{"amount": 4}')
  await page.click('.pending [type=submit]')
  await page.waitForSelector('.pending', { state: 'detached' })
  await idle(page)
  assert.match(await last(page).innerText(), /4/)
  await close()
})

test('a refusal reaches the model with its reason, and a call that was denied is shown as such', async () => {
  const { page, close } = await open(AGENTS.plain)
  await say(page, 'call pay {"amount": 5}')
  await page.click('.pending label:has-text("Deny")')
  await page.fill('.pending fieldset > input', 'too much')
  await page.click('.pending [type=submit]')
  await idle(page)
  assert.match(await last(page).innerText(), /too much/)
  await page.reload()
  await page.waitForSelector('.tool')
  assert.match(await page.locator('.tool').first().innerText(), /denied/)
  await close()
})

test('what waits for me is marked in the list', async () => {
  const { page, close } = await open(AGENTS.plain)
  await say(page, 'call pay {"amount": 7}')
  await page.click('.sidebar .primary')
  await page.locator('.sessions li').first().locator('.badge', { hasText: 'waits for you' }).waitFor()
  await page.locator('.sessions .title').first().click()
  await page.locator('.pending pre', { hasText: '7' }).waitFor()
  await close()
})

test('thoughts stand apart from the answer, as text, after a reload too', async () => {
  const { page, close } = await open(AGENTS.hostile)
  await say(page, 'think about it')
  for (const when of ['at once', 'after a reload']) {
    if (when !== 'at once') await page.reload()
    await page.click('.thinking summary')
    assert.equal(await page.locator('.thinking p').innerText(), 'Let me <b>see</b>.', when)
    assert.equal(await last(page).innerText(), 'echo think about it', when)
  }
  await close()
})

test('an answer from documents says which, after a reload too', async () => {
  const { page, close } = await open(AGENTS.reading)
  await say(page, 'call handbook {"query": "refunds"}')
  await page.click('.tool summary')
  await page.locator('.sources', { hasText: 'refunds.md › Refunds' }).waitFor()
  await page.reload()
  await page.click('.tool summary')
  await page.locator('.sources', { hasText: 'refunds.md › Refunds' }).waitFor()
  await close()
})

test('code is copied as it is', async () => {
  const { page, context, close } = await open(AGENTS.plain)
  await context.grantPermissions(['clipboard-read', 'clipboard-write'])
  await say(page, 'x\n\n```py\nprint("<a>")\n```')
  await page.click('.code button')
  await page.waitForFunction(() => document.querySelector('[role=status]').textContent === 'Copied')
  assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^print\("<a>"\)/)
  await close()
})

test('over a slow line it comes, and so does each word', async () => {
  const { page, context, close } = await open(AGENTS.plain)
  const line = await context.newCDPSession(page)
  await line.send('Network.enable')
  await line.send('Network.emulateNetworkConditions', { offline: false, latency: 400, downloadThroughput: 40_000, uploadThroughput: 8_000 })
  await page.reload()
  await page.waitForSelector('#message')
  await say(page, 'say 60 words')
  assert.equal(await last(page).innerText(), Array.from({ length: 60 }, (_, n) => `word${n + 1}`).join(' '))
  await close()
})

test('a question is answered', async () => {
  const { page, close } = await open(AGENTS.plain)
  await say(page, 'call ask_lead {"question": "May I?"}')
  await page.fill('.pending textarea', 'Yes')
  await page.click('.pending [type=submit]')
  await idle(page)
  assert.match(await last(page).innerText(), /Yes/)
  await close()
})

test('the model and the temperature are those of the conversation, also after a reload', async () => {
  const { page, close } = await open(AGENTS.plain)
  await say(page, 'hello')
  await page.click('[aria-label=Settings]')
  const names = await page.locator('dialog select').first().locator('option').allInnerTexts()
  const kept = (what) => page.waitForResponse((answer) => answer.request().method() === 'PATCH' && (answer.request().postData() ?? '').includes(what))
  await Promise.all([kept('model'), page.locator('dialog select').first().selectOption(names[1])])
  await Promise.all([kept('temperature'), page.locator('dialog input[type=range]').fill('0.4')])
  await page.reload()
  await page.waitForSelector('.entry')
  await page.click('[aria-label=Settings]')
  assert.equal(await page.locator('dialog select').first().inputValue(), names[1])
  assert.equal(await page.locator('dialog input[type=range]').inputValue(), '0.4')
  await close()
})

test('files and images are sent, and shown where their bytes are', async () => {
  const { page, close } = await open(AGENTS.plain)
  const png = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64')
  await page.setInputFiles('input[type=file]', [
    { name: 'dot.png', mimeType: 'image/png', buffer: png },
    { name: 'note.txt', mimeType: 'text/plain', buffer: Buffer.from('hello') },
  ])
  await page.waitForSelector('.composer img')
  await say(page, 'look')
  assert.equal(await page.locator('.asked-by-user img').count(), 1)
  assert.match(await page.locator('.asked-by-user').innerText(), /note\.txt/)
  await close()
})

test('the agent says what it is: tools, limits, prices', async () => {
  const { page, close } = await open(AGENTS.plain)
  await page.click('[aria-label="About this agent"]')
  const text = await page.locator('dialog').innerText()
  for (const wanted of ['look_up', 'pay', 'asks first', 'Prices', 'filesystem']) assert.ok(text.includes(wanted), `${wanted} in ${text}`)
  await page.keyboard.press('Escape')
  assert.equal(await page.locator('dialog').count(), 0)
  await close()
})

test('the page speaks Korean, and keeps it', async () => {
  const { page, close } = await open(AGENTS.plain)
  await page.click('[aria-label=Settings]')
  await page.locator('dialog select').last().selectOption('ko')
  await page.keyboard.press('Escape')
  assert.equal(await page.locator('.sidebar .primary').innerText(), '새 대화')
  await page.reload()
  await page.waitForSelector('#message')
  assert.equal(await page.getAttribute('html', 'lang'), 'ko')
  await close()
})

test('what the agent remembers is shown, and forgotten', async () => {
  const { page, close } = await open(AGENTS.remembering)
  await say(page, 'I like green tea')
  for (let found = 0; !found; await page.waitForTimeout(200)) found = (await (await fetch(`${AGENTS.remembering}memories`)).json()).total
  await page.click('[aria-label="What it remembers of you"]')
  await page.waitForSelector('.memories li')
  assert.match(await page.locator('.memories').innerText(), /green tea/)
  await page.click('.memories button')
  await page.waitForFunction(() => document.querySelectorAll('.memories li').length === 0)
  await close()
})

test('a runtime that dies in the midst of an answer costs another try, and no word', async () => {
  const { page, close } = await open(AGENTS.mortal)
  await page.fill('#message', 'say 900 words')
  await page.keyboard.press('Enter')
  await page.waitForFunction(() => document.querySelector('.prose')?.textContent?.includes('word20 '))
  await fetch(`${AGENTS.undertaker}/die`, { method: 'POST' })
  await page.waitForSelector('.failure button')
  await page.click('.failure button')
  await page.waitForFunction(() => document.querySelector('.entry:last-of-type .prose')?.textContent?.includes('word900'), null)
  await idle(page)
  assert.equal(await page.locator('.asked-by-user').count(), 1)
  assert.equal(await last(page).innerText(), Array.from({ length: 900 }, (_, n) => `word${n + 1}`).join(' '))
  await close({ expected: /Failed to load resource|ERR_/ })
})
