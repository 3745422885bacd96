import type { JSX } from 'preact'
import { memo } from 'preact/compat'
import type { AnswerItem, FailureItem, Item, NoteItem, UserItem } from '../fold'
import { Markdown } from '../markdown'
import * as state from '../state'
import type { Part, Usage } from '../wire'
import { say, type Word } from '../words'
import { ToolCall } from './ToolCall'

/** One entry of the log; drawn again only when it has changed. */
export const Entry = memo(function Entry({ item, isLast }: { item: Item; isLast: boolean }): JSX.Element {
  switch (item.kind) {
    case 'user':
      return <Asked item={item} />
    case 'answer':
      return <Answer item={item} />
    case 'tool':
      return <ToolCall item={item} />
    case 'note':
      return <Note item={item} />
    case 'failure':
      return <Failure item={item} isLast={isLast} />
  }
})

function Asked({ item }: { item: UserItem }): JSX.Element {
  return (
    <article class="entry asked-by-user">
      <h2 class="offscreen">{say('you')}</h2>
      <p class="plain">{item.text}</p>
      <Parts parts={item.parts} />
    </article>
  )
}

/** Images and files; an image is drawn only if its bytes are here: what has an address is not asked for. */
export function Parts({ parts }: { parts: readonly Part[] }): JSX.Element | null {
  if (!parts.length) return null
  return (
    <ul class="parts">
      {parts.map((part, at) => (
        <li key={at}>{shown(part)}</li>
      ))}
    </ul>
  )
}

function shown(part: Part): JSX.Element | string {
  if (part.type === 'text') return part.text
  if (part.type === 'file') return `${say('file')}: ${part.file.filename}`
  const { url } = part.image_url
  return /^data:image\/(png|jpeg|webp|gif);base64,/i.test(url) ? (
    <img src={url} alt={say('image')} />
  ) : (
    `[${say('image')}: ${url.slice(0, 200)}]`
  )
}

const SAID: ReadonlySet<string> = new Set(['length', 'content_filter', 'refusal'])

function Answer({ item }: { item: AnswerItem }): JSX.Element {
  return (
    <article class="entry">
      <h2 class="offscreen">{say('agent')}</h2>
      {item.thinking && (
        <details class="thinking">
          <summary>{say('thinking')}</summary>
          <p class="plain">{item.thinking}</p>
        </details>
      )}
      <div class="prose">
        <Markdown text={item.text} />
      </div>
      {SAID.has(item.finish) && <p class="notice">{say(item.finish as Word)}</p>}
      {item.usage && <p class="faint small">{cost(item.usage)}</p>}
    </article>
  )
}

/** Return tokens and dollars as text. */
export function cost(usage: Usage): string {
  const usd = usage.cost_usd === undefined ? '' : ` · $${usage.cost_usd.toFixed(usage.cost_usd < 0.01 ? 5 : 3)}`
  return `${usage.estimated ? '≈ ' : ''}${usage.input_tokens} + ${usage.output_tokens} ${say('tokens')}${usd}`
}

function Note({ item }: { item: NoteItem }): JSX.Element {
  if (item.what === 'compaction') return <p class="note faint">{say('compaction', item.text)}</p>
  return (
    <details class="note">
      <summary>{say(item.what === 'summary' ? 'summary' : 'decided')}</summary>
      <p class="plain">{item.text}</p>
    </details>
  )
}

function Failure({ item, isLast }: { item: FailureItem; isLast: boolean }): JSX.Element {
  const isStopped = item.code === 'cancelled'
  return (
    <div class={isStopped ? 'note' : 'failure'} {...(isStopped ? {} : { role: 'alert' as const })}>
      <p>{isStopped ? say('stopped') : item.message}</p>
      {isLast && !state.isRunning.value && (
        <button type="button" onClick={() => void state.retry(item)}>
          {say('retry')}
        </button>
      )}
    </div>
  )
}
