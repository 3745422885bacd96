import { useSignal } from '@preact/signals'
import type { JSX } from 'preact'
import { useLayoutEffect, useRef } from 'preact/hooks'
import * as state from '../state'
import type { Pending as Call, Schema, Waiting } from '../wire'
import { say } from '../words'
import { pretty } from './ToolCall'

interface Choice {
  approved: boolean
  reason: string
  answer: string
  /** What stands in the field of arguments; null if they are as the model wanted. */
  edited: string | null
}

/** What has to be decided before the run goes on: approvals and questions, in one form. */
export function Pending(props: { waiting: Waiting; isMine?: boolean; decide?: (made: unknown[]) => void }): JSX.Element {
  const { waiting, isMine = true } = props
  const { decide = (made: unknown[]) => void state.decide(waiting.run_id, made, isMine) } = props
  const choices = useSignal<Record<string, Choice>>(
    Object.fromEntries(waiting.calls.map((call) => [call.id, { approved: true, reason: '', answer: '', edited: null }])),
  )
  const wrong = useSignal('')
  const heading = useRef<HTMLHeadingElement>(null)
  useLayoutEffect(() => {
    if (isMine) heading.current?.focus()
  }, [])
  const set = (id: string, change: Partial<Choice>): void => {
    choices.value = { ...choices.value, [id]: { ...(choices.value[id] as Choice), ...change } }
  }
  return (
    <form
      class="pending"
      aria-label={say('approval')}
      onSubmit={(event) => {
        event.preventDefault()
        const made: unknown[] = []
        for (const call of waiting.calls) {
          try {
            made.push(decision(call, choices.value[call.id] as Choice))
          } catch (error) {
            wrong.value = say('badJson', String((error as Error).message))
            return
          }
        }
        decide(made)
      }}
    >
      <h2 ref={heading} tabIndex={-1}>
        {say(waiting.calls.every((call) => call.type === 'question') ? 'question' : 'approval')}{' '}
        <span class="faint small">{say('until', new Date(waiting.expires_at).toLocaleString())}</span>
      </h2>
      {waiting.calls.map((call) => (
        <Decision key={call.id} call={call} choice={choices.value[call.id] as Choice} set={(change) => set(call.id, change)} />
      ))}
      {wrong.value && <p role="alert">{wrong.value}</p>}
      <button type="submit" class="primary">
        {say('decide')}
      </button>
    </form>
  )
}

function decision(call: Call, choice: Choice): Record<string, unknown> {
  const of = { id: call.id, digest: call.digest }
  if (call.type === 'question' && choice.approved)
    return { ...of, answer: isStructured(call.asks?.schema) ? JSON.parse(choice.answer) : choice.answer }
  if (call.type === 'question') return { ...of, approved: false, ...(choice.reason ? { reason: choice.reason } : {}) }
  if (!choice.approved) return { ...of, approved: false, ...(choice.reason ? { reason: choice.reason } : {}) }
  return { ...of, approved: true, ...(choice.edited === null ? {} : { arguments: JSON.parse(choice.edited) }) }
}

/** Whether an answer has fields of its own, so that it is JSON. */
function isStructured(schema: Schema | undefined): boolean {
  return schema?.properties !== undefined
}

function Decision(props: { call: Call; choice: Choice; set: (change: Partial<Choice>) => void }): JSX.Element {
  const { call, choice, set } = props
  const name = [call.agent, call.server, call.name].filter(Boolean).join(' › ')
  const group = `decision-${call.id}`
  return (
    <fieldset>
      <legend>{name}</legend>
      {call.asks?.message && <p class="plain">{call.asks.message}</p>}
      {call.problem && <p class="notice">{call.problem}</p>}
      {choice.edited === null ? (
        <pre tabIndex={0}>{pretty(call.args)}</pre>
      ) : (
        <textarea
          aria-label={say('arguments')}
          rows={Math.min(12, choice.edited.split('\n').length + 1)}
          value={choice.edited}
          onInput={(event) => set({ edited: event.currentTarget.value })}
        />
      )}
      <div class="row wrap">
        {(['approve', 'deny'] as const).map((word) => (
          <label key={word}>
            <input
              type="radio"
              name={group}
              checked={choice.approved === (word === 'approve')}
              onChange={() => set({ approved: word === 'approve' })}
            />{' '}
            {say(word === 'approve' && call.type === 'question' ? 'answer' : word)}
          </label>
        ))}
        {call.type === 'approval' && choice.approved && choice.edited === null && (
          <button type="button" class="quiet" onClick={() => set({ edited: JSON.stringify(call.args, null, 2) })}>
            {say('edit')}
          </button>
        )}
      </div>
      {call.type === 'question' && choice.approved && (
        <>
          {isStructured(call.asks?.schema) && <pre tabIndex={0}>{JSON.stringify(call.asks?.schema?.properties, null, 2)}</pre>}
          <textarea
            aria-label={say('answer')}
            rows={2}
            required
            value={choice.answer}
            onInput={(event) => set({ answer: event.currentTarget.value })}
          />
        </>
      )}
      {!choice.approved && (
        <input
          aria-label={say('reason')}
          placeholder={say('reason')}
          maxLength={8192}
          value={choice.reason}
          onInput={(event) => set({ reason: event.currentTarget.value })}
        />
      )}
    </fieldset>
  )
}

/** What other people's runs wait for, if this person decides on it; beside a conversation of one's own. */
export function OfOthers(): JSX.Element | null {
  const found = state.ofOthers.value
  if (!found.length) return null
  return (
    <section class="others" aria-label={say('others')}>
      {found.map((one) => (
        <details key={one.run_id}>
          <summary>
            {say('others')}: {one.asked_by}
          </summary>
          <Pending waiting={one} isMine={false} />
        </details>
      ))}
    </section>
  )
}
