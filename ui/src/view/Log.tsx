import type { JSX } from 'preact'
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks'
import * as state from '../state'
import { say } from '../words'
import { Entry } from './Message'
import { OfOthers, Pending } from './Pending'

/** Pixels from the end within which the log follows what comes. */
const NEAR = 80

/** The conversation. It alone is drawn with each frame of an answer. */
export function Log(): JSX.Element {
  const box = useRef<HTMLDivElement>(null)
  const isNear = useRef(true)
  const items = state.items.value
  const open = state.current.value
  useEffect(() => {
    isNear.current = true
  }, [open, items.at(-1)?.kind === 'user'])
  useLayoutEffect(() => {
    const element = box.current
    if (element && isNear.current) element.scrollTop = element.scrollHeight
  })
  const pending = state.pending.value
  return (
    <div
      class="log"
      ref={box}
      role="log"
      aria-live="off"
      aria-label={say('message')}
      aria-busy={state.isRunning.value}
      tabIndex={0}
      onScroll={(event) => {
        const { scrollHeight, scrollTop, clientHeight } = event.currentTarget
        isNear.current = scrollHeight - scrollTop - clientHeight < NEAR
      }}
    >
      <div class="column">
        {state.earlier.value > 0 && (
          <button type="button" class="quiet" onClick={() => void state.showEarlier()}>
            {say('more')}
          </button>
        )}
        {items.length === 0 && <Welcome />}
        {items.map((item, at) => (
          <Entry key={at} item={item} isLast={at === items.length - 1} />
        ))}
        {pending && <Pending key={pending.run_id} waiting={pending} />}
        <OfOthers />
        {state.isReconnecting.value && <p class="notice">{say('reconnecting')}</p>}
        {state.isRunning.value && !pending && <p class="working" aria-hidden="true" />}
        {state.trouble.value && (
          <p class="failure" role="alert">
            {state.trouble.value}
          </p>
        )}
      </div>
    </div>
  )
}

function Welcome(): JSX.Element {
  const info = state.info.value
  return (
    <div class="welcome">
      <p class="big">{info?.display_name}</p>
      <p class="faint">{info?.description}</p>
    </div>
  )
}
