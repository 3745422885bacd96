/** Stored messages and events of a run → what stands in the log. Pure: nothing is asked or remembered here. */

import type { Call, Citation, Events, Message, Part, Usage } from './wire'

export type Outcome = 'open' | 'ok' | 'failed' | 'denied' | 'lost'

export interface ToolItem {
  kind: 'tool'
  id: string
  name: string
  args: unknown
  outcome: Outcome
  content: string
  images: Part[]
  /** Milliseconds; null if nobody knows. */
  duration: number | null
  /** What an agent that was called does meanwhile. */
  progress: string
  citations: Citation[]
}

export interface UserItem {
  kind: 'user'
  text: string
  parts: Part[]
}

export interface AnswerItem {
  kind: 'answer'
  text: string
  thinking: string
  model: string
  usage: Usage | null
  finish: string
}

export interface NoteItem {
  kind: 'note'
  what: 'summary' | 'compaction' | 'decided'
  text: string
}

export interface FailureItem {
  kind: 'failure'
  code: string
  message: string
  retryable: boolean
  run: string | null
}

export type Item = UserItem | AnswerItem | ToolItem | NoteItem | FailureItem

const EMPTY: AnswerItem = { kind: 'answer', text: '', thinking: '', model: '', usage: null, finish: '' }

export function user(content: string | Part[]): UserItem {
  if (typeof content === 'string') return { kind: 'user', text: content, parts: [] }
  const texts = content.flatMap((part) => (part.type === 'text' ? [part.text] : []))
  return { kind: 'user', text: texts.join('\n'), parts: content.filter((part) => part.type !== 'text') }
}

export function called(call: Call): ToolItem {
  const { id, name, args } = call
  return { kind: 'tool', id, name, args, outcome: 'open', content: '', images: [], duration: null, progress: '', citations: [] }
}

function ended(ok: boolean, outcome?: string): Outcome {
  if (outcome === 'denied' || outcome === 'rejected') return 'denied'
  return ok ? 'ok' : 'failed'
}

/** Names of calls repeat from turn to turn (`call_1`): a result is that of the last open one. */
function lastOpen(items: readonly Item[], id: string): number {
  return items.findLastIndex((item) => item.kind === 'tool' && item.id === id && item.outcome === 'open')
}

function changed(items: readonly Item[], at: number, change: Partial<ToolItem>): Item[] {
  return items.map((item, number) => (number === at ? ({ ...item, ...change } as Item) : item))
}

function sum(one: Usage | null, other: Usage): Usage {
  if (!one) return other
  const usd = one.cost_usd === undefined ? other.cost_usd : one.cost_usd + (other.cost_usd ?? 0)
  return {
    input_tokens: one.input_tokens + other.input_tokens,
    output_tokens: one.output_tokens + other.output_tokens,
    total_tokens: one.total_tokens + other.total_tokens,
    ...(usd === undefined ? {} : { cost_usd: usd }),
    ...(one.estimated || other.estimated ? { estimated: true } : {}),
  }
}

/** Return what a page of stored messages shows. */
export function fold(messages: readonly Message[]): Item[] {
  let items: Item[] = []
  /** Of requests to the model that wanted calls and said nothing: the answer behind them has cost that, too. */
  let silent: Usage | null = null
  for (const message of messages) {
    if (message.role === 'user') {
      items.push(user(message.content))
      silent = null
    }
    else if (message.role === 'summary') items.push({ kind: 'note', what: 'summary', text: message.content })
    else if (message.role === 'assistant') {
      const { content, thinking = '', model, usage, finish_reason } = message
      silent = sum(silent, usage)
      if (content || thinking || !message.tool_calls.length) {
        items.push({ ...EMPTY, text: content, thinking, model, usage: silent, finish: finish_reason })
        silent = null
      }
      items.push(...message.tool_calls.map(called))
    } else
      for (const result of message.results) {
        const done: Partial<ToolItem> = {
          outcome: ended(result.ok, result.outcome),
          content: result.content,
          images: result.images ?? [],
          duration: result.duration_ms ?? null,
          citations: result.citations ?? [],
        }
        const at = lastOpen(items, result.id)
        if (at >= 0) items = changed(items, at, done)
        else items.push({ ...called({ ...result, args: null }), ...done })
      }
  }
  return items
}

/** Return the items with one more event of the run. Tokens are gathered elsewhere, by `grown`. */
export function after<N extends keyof Events>(items: readonly Item[], name: N, data: Events[N]): Item[] {
  switch (name) {
    case 'token':
      return grown(items, (data as Events['token']).content, '')
    case 'thinking':
      return grown(items, '', (data as Events['thinking']).content)
    case 'tool_start': {
      const call = data as Events['tool_start']
      // A call that waited was there already, from the conversation or from what was asked.
      return lastOpen(items, call.id) >= 0 ? [...items] : [...items, called(call)]
    }
    case 'tool_progress': {
      const { id, event, content, tool } = data as Events['tool_progress']
      const at = lastOpen(items, id)
      const item = items[at] as ToolItem | undefined
      if (!item) return [...items]
      const progress = event === 'token' ? item.progress + (content ?? '') : event === 'tool_start' ? `${tool ?? ''} …` : item.progress
      return changed(items, at, { progress: progress.slice(-2000) })
    }
    case 'citations': {
      const { id, citations } = data as Events['citations']
      const at = lastOpen(items, id)
      return at >= 0 ? changed(items, at, { citations }) : [...items]
    }
    case 'tool_end': {
      const { id, name: tool, ok, content, duration_ms, outcome } = data as Events['tool_end']
      const at = lastOpen(items, id)
      const done = { outcome: ended(ok, outcome), content, duration: duration_ms }
      return at >= 0 ? changed(items, at, done) : [...items, { ...called({ id, name: tool, args: null }), ...done }]
    }
    case 'compaction': {
      const { before_tokens, after_tokens } = data as Events['compaction']
      return [...items, { kind: 'note', what: 'compaction', text: `${before_tokens} → ${after_tokens}` }]
    }
    case 'usage': {
      const at = items.findLastIndex((item) => item.kind === 'answer')
      const last = items.findLastIndex((item) => item.kind === 'user')
      return at > last ? items.map((item, n) => (n === at ? ({ ...item, usage: data } as Item) : item)) : [...items]
    }
    case 'done': {
      const { output, finish_reason } = data as Events['done']
      const last = items.at(-1)
      // An answer that was told at once at its end, as one that had to match a schema, had no tokens.
      const told = last?.kind === 'answer' || !output ? [...items] : [...items, { ...EMPTY, text: output }]
      const at = told.length - 1
      return told.map((item, n) => (n === at && item.kind === 'answer' ? { ...item, finish: finish_reason } : item))
    }
    case 'error': {
      const { code, message, retryable, run_id } = data as Events['error']
      const open = items.map((item) => (item.kind === 'tool' && item.outcome === 'open' ? ({ ...item, outcome: 'lost' } as Item) : item))
      return [...open, { kind: 'failure', code, message, retryable, run: run_id ?? null }]
    }
    default:
      return [...items]
  }
}

/** Return the items with more text of the answer, or of what the model thinks. */
export function grown(items: readonly Item[], text: string, thinking: string): Item[] {
  const last = items.at(-1)
  if (last?.kind !== 'answer') return [...items, { ...EMPTY, text, thinking }]
  return [...items.slice(0, -1), { ...last, text: last.text + text, thinking: last.thinking + thinking }]
}
