import { useSignal } from '@preact/signals'
import type { JSX } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import { ask, HOME, isSignedIn } from '../api'
import * as state from '../state'
import type { Neighbour, WaitingRun } from '../wire'
import { say } from '../words'
import { Icon } from './Icons'

/** From so many agents on, one may search. */
const MANY = 8
const REFRESH = 15_000

/** The agents of a fleet: how each of them is, and what waits there for whoever looks. */
export function Fleet(): JSX.Element {
  const query = useSignal('')
  const agents = state.neighbours.value
  const wanted = query.value.trim().toLowerCase()
  const found = agents.filter((one) => `${one.title} ${one.name} ${one.namespace} ${one.description ?? ''}`.toLowerCase().includes(wanted))
  return (
    <main class="fleet">
      <header class="row">
        <h1 class="grow">{state.door.value?.title ?? say('fleet')}</h1>
        {isSignedIn() && (
          <button type="button" class="quiet" aria-label={say('signOut')} onClick={state.signOut}>
            <Icon name="out" />
          </button>
        )}
      </header>
      {state.trouble.value && <p role="alert">{state.trouble.value}</p>}
      {agents.length >= MANY && (
        <input
          type="search"
          aria-label={say('searchAgents')}
          placeholder={say('searchAgents')}
          onInput={(event) => {
            query.value = event.currentTarget.value
          }}
        />
      )}
      {wanted && !found.length && <p class="faint">{say('noAgents')}</p>}
      <ul>
        {found.map((one) => (
          <li key={one.path}>
            <Door agent={one} />
          </li>
        ))}
      </ul>
    </main>
  )
}

/** Ask, while it is in view, how an agent is, and what waits there. */
function Door({ agent }: { agent: Neighbour }): JSX.Element {
  const health = useSignal<'ready' | 'unreachable' | null>(null)
  const waiting = useSignal(0)
  const link = useRef<HTMLAnchorElement>(null)
  const place = state.placeOf(agent)
  // Only what is on this host may be asked: the policy of the page lets nothing leave it.
  const isHere = place.origin === HOME.origin
  useEffect(() => {
    if (!isHere || !link.current) return
    let isSeen = false
    const look = async (): Promise<void> => {
      if (!isSeen || document.hidden) return
      health.value = await ask('health/ready', { at: place }).then(
        () => 'ready' as const,
        () => 'unreachable' as const,
      )
      if (health.value === 'ready') waiting.value = await waitingAt(agent, place)
    }
    const seen = new IntersectionObserver(([entry]) => {
      isSeen = entry?.isIntersecting ?? false
      void look()
    })
    const again = (): void => void look()
    seen.observe(link.current)
    const timer = setInterval(again, REFRESH)
    document.addEventListener('visibilitychange', again)
    addEventListener('pageshow', again) // one comes back from an agent
    return () => {
      seen.disconnect()
      clearInterval(timer)
      document.removeEventListener('visibilitychange', again)
      removeEventListener('pageshow', again)
    }
  }, [agent])
  return (
    <a ref={link} class="door" href={isHere ? place.pathname : place.href}>
      <strong>{agent.title}</strong> <span class="faint">{isHere ? agent.namespace : `${agent.namespace} · ${place.host}`}</span>{' '}
      {health.value && <span class={`badge ${health.value === 'ready' ? '' : 'warm'}`}>{say(health.value)}</span>}{' '}
      {waiting.value > 0 && <span class="badge warm">{say('waiting', waiting.value)}</span>}
      {agent.description && <span class="about">{agent.description}</span>}
    </a>
  )
}

/** Return how many runs of an agent wait for this person, 0 where one has not signed in. */
async function waitingAt(agent: Neighbour, place: URL): Promise<number> {
  if (agent.sign_in !== 'none' && !isSignedIn(place)) return 0
  const found = await ask<{ runs: WaitingRun[] }>('runs?status=waiting', { at: place }).catch(() => ({ runs: [] }))
  return found.runs.filter((one) => one.may_decide !== false).length
}
