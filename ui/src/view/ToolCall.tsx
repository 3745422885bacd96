import type { JSX } from 'preact'
import type { ToolItem } from '../fold'
import type { Citation } from '../wire'
import { say } from '../words'
import { Parts } from './Message'

/** One call of a tool: what was asked, what came back, how long it took. */
export function ToolCall({ item }: { item: ToolItem }): JSX.Element {
  return (
    <details class={`entry tool ${item.outcome}`}>
      <summary>
        <span class="dot" aria-hidden="true" />
        <span class="name">{item.name}</span>
        <span class="faint">
          {say(item.outcome)}
          {item.duration === null ? '' : ` · ${lasted(item.duration)}`}
        </span>
      </summary>
      {item.args !== null && (
        <>
          <h3 class="label">{say('arguments')}</h3>
          <pre tabIndex={0}>{pretty(item.args)}</pre>
        </>
      )}
      {item.progress && item.outcome === 'open' && <p class="plain faint">{item.progress}</p>}
      {item.outcome !== 'open' && (
        <>
          <h3 class="label">{say('result')}</h3>
          <pre tabIndex={0}>{item.content}</pre>
          <Parts parts={item.images} />
        </>
      )}
      {item.citations.length > 0 && <Sources citations={item.citations} />}
    </details>
  )
}

function Sources({ citations }: { citations: readonly Citation[] }): JSX.Element {
  return (
    <>
      <h3 class="label">{say('sources')}</h3>
      <ol class="sources">
        {citations.map((one) => (
          <li key={one.number} value={one.number}>
            {one.source}
            {one.heading ? ` › ${one.heading}` : ''}
            {one.score === undefined ? '' : ` (${one.score.toFixed(2)})`}
          </li>
        ))}
      </ol>
    </>
  )
}

/** Return JSON with line breaks; a text is shown as it is. */
export function pretty(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value, null, 2)
}

/** Return a time for people. */
export function lasted(milliseconds: number): string {
  return milliseconds < 1000 ? say('milliseconds', Math.round(milliseconds)) : say('seconds', (milliseconds / 1000).toFixed(1))
}
