import { useSignal } from '@preact/signals'
import type { JSX } from 'preact'
import { memo } from 'preact/compat'
import { useLayoutEffect, useRef } from 'preact/hooks'
import * as state from '../state'
import type { Session } from '../wire'
import { say } from '../words'
import { Icon } from './Icons'

let typed: ReturnType<typeof setTimeout> | undefined

/** The conversations: new, search, open, rename, delete. */
export function Sidebar({ close }: { close: () => void }): JSX.Element {
  const found = state.sessions.value
  return (
    <nav class="sidebar" aria-label={say('menu')}>
      <div class="row">
        <button
          type="button"
          class="primary grow"
          onClick={() => {
            state.startNew()
            close()
            document.getElementById('message')?.focus()
          }}
        >
          <Icon name="plus" /> {say('newChat')}
        </button>
        <button type="button" class="quiet narrow" aria-label={say('close')} onClick={close}>
          <Icon name="close" />
        </button>
      </div>
      <input
        type="search"
        id="search"
        aria-label={say('search')}
        placeholder={say('search')}
        onInput={(event) => {
          const text = event.currentTarget.value.trim()
          clearTimeout(typed)
          typed = setTimeout(() => void state.search(text), 150)
        }}
      />
      <ul class="sessions">
        {found.map((one) => (
          <Row key={one.session_id} session={one} close={close} />
        ))}
      </ul>
      {found.length === 0 && <p class="faint">{say(state.query.value ? 'noneFound' : 'noSessions')}</p>}
      {found.length < state.total.value && (
        <button type="button" class="quiet" onClick={() => void state.showMore()}>
          {say('moreSessions')}
        </button>
      )}
    </nav>
  )
}

/** One conversation; drawn again only when it has changed, not with each token of an answer. */
const Row = memo(function Row({ session, close }: { session: Session; close: () => void }): JSX.Element {
  const mode = useSignal<'shown' | 'renamed' | 'deleted'>('shown')
  const first = useRef<HTMLElement>(null)
  const back = useRef<HTMLButtonElement>(null)
  const was = useRef(mode.value)
  useLayoutEffect(() => {
    if (mode.value !== was.current) (mode.value === 'shown' ? back : first).current?.focus()
    was.current = mode.value
  }, [mode.value])
  const id = session.session_id
  const title = session.title || say('untitled')
  const done = (): void => {
    mode.value = 'shown'
  }
  if (mode.value === 'renamed')
    return (
      <li>
        <form
          class="row"
          onSubmit={(event) => {
            event.preventDefault()
            const text = (first.current as HTMLInputElement).value.trim()
            if (text) void state.rename(id, text)
            done()
          }}
        >
          <input
            ref={first as { current: HTMLInputElement | null }}
            class="grow"
            aria-label={say('rename')}
            maxLength={256}
            defaultValue={session.title}
            onKeyDown={(event) => event.key === 'Escape' && done()}
          />
          <button type="submit">{say('save')}</button>
        </form>
      </li>
    )
  if (mode.value === 'deleted')
    return (
      <li class="row asked" onKeyDown={(event) => event.key === 'Escape' && done()}>
        <span class="grow">{say('really')}</span>
        <button type="button" class="danger" onClick={() => void state.remove(id)}>
          {say('remove')}
        </button>
        <button type="button" ref={first as { current: HTMLButtonElement | null }} onClick={done}>
          {say('keep')}
        </button>
      </li>
    )
  const isOpen = state.current.value === id
  return (
    <li class="row">
      <button
        type="button"
        ref={back}
        class="quiet title grow"
        {...(isOpen ? { 'aria-current': 'page' as const } : {})}
        onClick={() => {
          void state.open(id)
          close()
        }}
      >
        <span class="text">{title}</span>
        {session.running ? <span class="badge">{say('runsNow')}</span> : null}
        {session.waiting ? <span class="badge warm">{say('waitsForYou')}</span> : null}
      </button>
      <button type="button" class="quiet" aria-label={`${say('rename')}: ${title}`} onClick={() => (mode.value = 'renamed')}>
        <Icon name="pencil" />
      </button>
      <button type="button" class="quiet" aria-label={`${say('remove')}: ${title}`} onClick={() => (mode.value = 'deleted')}>
        <Icon name="bin" />
      </button>
    </li>
  )
})
