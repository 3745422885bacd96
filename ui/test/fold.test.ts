import { describe, expect, it } from 'vitest'
import { after, fold, type Item, type ToolItem } from '../src/fold'
import type { Message, Usage } from '../src/wire'

const USAGE: Usage = { input_tokens: 1, output_tokens: 2, total_tokens: 3 }
const AT = '2026-01-01T00:00:00Z'

function asked(content: string): Message {
  return { role: 'user', content, created_at: AT }
}

function said(content: string, ...ids: string[]): Message {
  const tool_calls = ids.map((id) => ({ id, name: `tool_${id}`, args: { q: id } }))
  return { role: 'assistant', content, tool_calls, model: 'm', usage: USAGE, finish_reason: 'stop', created_at: AT }
}

function done(...results: [string, boolean, string?][]): Message {
  return {
    role: 'tool',
    created_at: AT,
    results: results.map(([id, ok, outcome]) => ({ id, name: `tool_${id}`, ok, content: `of ${id}`, duration_ms: 5, ...(outcome ? { outcome } : {}) })),
  }
}

function tools(items: readonly Item[]): ToolItem[] {
  return items.filter((item): item is ToolItem => item.kind === 'tool')
}

describe('a stored conversation', () => {
  it('gives results to the calls of their own turn, though names of calls repeat', () => {
    const items = fold([asked('a'), said('', 'call_1'), done(['call_1', true]), said('one'), asked('b'), said('', 'call_1'), done(['call_1', false]), said('two')])
    expect(tools(items).map((one) => one.outcome)).toEqual(['ok', 'failed'])
    expect(items.map((one) => one.kind)).toEqual(['user', 'tool', 'answer', 'user', 'tool', 'answer'])
  })

  it('matches parallel calls by their names, in whatever order they end', () => {
    const items = fold([said('', 'a', 'b'), done(['b', true], ['a', false, 'denied'])])
    expect(tools(items).map((one) => [one.id, one.outcome, one.content, one.duration])).toEqual([
      ['a', 'denied', 'of a', 5],
      ['b', 'ok', 'of b', 5],
    ])
  })

  it('shows a result whose call is on an earlier page, and a call that waits', () => {
    const items = fold([done(['x', true]), said('', 'y')])
    expect(tools(items).map((one) => one.outcome)).toEqual(['ok', 'open'])
  })

  it('keeps what a model thought, and what a search has quoted', () => {
    const citations = [{ number: 1, source: 's.md', heading: 'S', score: 0.5 }]
    const thought: Message = { ...(said('', 'a') as Message & { role: 'assistant' }), thinking: 'hm' }
    const found: Message = { role: 'tool', created_at: AT, results: [{ id: 'a', name: 'tool_a', ok: true, content: '[]', citations }] }
    const items = fold([thought, found, said('one')])
    expect(items.map((one) => one.kind)).toEqual(['answer', 'tool', 'answer'])
    expect(items[0]).toMatchObject({ text: '', thinking: 'hm' })
    expect(tools(items)[0]?.citations).toEqual(citations)
  })

  it('counts what calls without a word have cost in the answer behind them, and not in another turn', () => {
    const items = fold([asked('a'), said('', 'x'), done(['x', true]), said('one'), asked('b'), said('two')])
    const used = items.flatMap((item) => (item.kind === 'answer' ? [item.usage?.total_tokens] : []))
    expect(used).toEqual([6, 3])
  })

  it('keeps parts of a message apart from its text', () => {
    const image = { type: 'image_url' as const, image_url: { url: 'data:image/png;base64,AA==' } }
    const [item] = fold([{ role: 'user', content: [{ type: 'text', text: 'look' }, image], created_at: AT }])
    expect(item).toEqual({ kind: 'user', text: 'look', parts: [image] })
  })

  it('shows notes that stand for what came before', () => {
    expect(fold([{ role: 'summary', content: 'n', keeps: 2, created_at: AT }])).toEqual([{ kind: 'note', what: 'summary', text: 'n' }])
  })
})

describe('events of a run', () => {
  const play = (...events: [string, unknown][]): Item[] =>
    events.reduce<Item[]>((items, [name, data]) => after(items, name as never, data as never), fold([asked('go')]))

  it('grow the answer, and begin another one behind a call', () => {
    const items = play(
      ['thinking', { content: 'hm' }],
      ['token', { content: 'a' }],
      ['token', { content: 'b' }],
      ['tool_start', { id: 'c', name: 't', args: {} }],
      ['tool_end', { id: 'c', name: 't', ok: true, content: 'r', duration_ms: 12 }],
      ['token', { content: 'z' }],
      ['usage', USAGE],
      ['done', { finish_reason: 'length', output: 'z' }],
    )
    expect(items.map((one) => one.kind)).toEqual(['user', 'answer', 'tool', 'answer'])
    expect(items[1]).toMatchObject({ text: 'ab', thinking: 'hm' })
    expect(items[2]).toMatchObject({ outcome: 'ok', content: 'r', duration: 12 })
    expect(items[3]).toMatchObject({ text: 'z', usage: USAGE, finish: 'length' })
  })

  it('do not start a call twice that waited', () => {
    const waited = fold([asked('go'), said('', 'c')])
    const items = after(waited, 'tool_start', { id: 'c', name: 'tool_c', args: {} })
    expect(tools(items)).toHaveLength(1)
  })

  it('tell an answer at its end that had no tokens', () => {
    expect(play(['done', { finish_reason: 'stop', output: '{"a":1}' }]).at(-1)).toMatchObject({ kind: 'answer', text: '{"a":1}' })
  })

  it('leave no call running when the run fails', () => {
    const items = play(['tool_start', { id: 'c', name: 't', args: {} }], ['error', { code: 'model_failed', message: 'm', retryable: true }])
    expect(tools(items)[0]?.outcome).toBe('lost')
    expect(items.at(-1)).toMatchObject({ kind: 'failure', code: 'model_failed', run: null })
  })

  it('show sources, and what an agent that was called does', () => {
    const citations = [{ number: 1, source: 's.md' }]
    const items = play(
      ['tool_start', { id: 'c', name: 't', args: {} }],
      ['tool_progress', { id: 'c', name: 't', event: 'token', content: 'half' }],
      ['citations', { id: 'c', name: 't', citations }],
      ['citations', { id: 'nobody', name: 't', citations }],
    )
    expect(tools(items)).toMatchObject([{ progress: 'half', citations }])
  })

  it('that nobody knows change nothing', () => {
    expect(play(['later', { a: 1 }])).toEqual(fold([asked('go')]))
  })
})
