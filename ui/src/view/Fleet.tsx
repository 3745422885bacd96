import { useSignal } from '@preact/signals'
import type { JSX } from 'preact'
import { useEffect } from 'preact/hooks'
import { HOME } from '../api'
import type { Neighbour } from '../wire'
import { say } from '../words'

/** The agents behind a host, of agents.json, and whether each can be reached. */
export function Fleet({ agents }: { agents: readonly Neighbour[] }): JSX.Element {
  return (
    <main class="fleet">
      <h1>{say('fleet')}</h1>
      <ul>
        {agents.map((one) => (
          <li key={`${one.namespace}/${one.name}`}>
            <Door agent={one} />
          </li>
        ))}
      </ul>
    </main>
  )
}

function Door({ agent }: { agent: Neighbour }): JSX.Element {
  const health = useSignal<'ready' | 'unreachable' | null>(null)
  // Only what is on this host is a door of this page.
  const place = new URL(agent.path.replace(/\/*$/, '/'), HOME)
  const isHere = place.origin === HOME.origin
  useEffect(() => {
    if (!isHere) return
    fetch(new URL('health/ready', place), { credentials: 'omit', cache: 'no-store' })
      .then((answer) => (health.value = answer.ok ? 'ready' : 'unreachable'))
      .catch(() => (health.value = 'unreachable'))
  }, [])
  if (!isHere) return <span>{agent.title}</span>
  return (
    <a class="door" href={place.pathname}>
      <strong>{agent.title}</strong> <span class="faint">{agent.namespace}</span>
      {health.value && <span class={`badge ${health.value === 'ready' ? '' : 'warm'}`}>{say(health.value)}</span>}
      <br />
      <span>{agent.description}</span>
    </a>
  )
}
