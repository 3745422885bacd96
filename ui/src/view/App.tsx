import { useSignal } from '@preact/signals'
import type { JSX } from 'preact'
import { useEffect } from 'preact/hooks'
import type { Item, ToolItem } from '../fold'
import * as state from '../state'
import { status } from '../status'
import { language, say } from '../words'
import { Composer } from './Composer'
import { Fleet } from './Fleet'
import { Flow } from './Flow'
import { Icon } from './Icons'
import { Log } from './Log'
import { cost } from './Message'
import { Memories, Settings } from './Settings'
import { Sidebar } from './Sidebar'
import { SignIn } from './SignIn'
import { ToolCall } from './ToolCall'
import { Tour } from './Tour'

type Open = 'none' | 'settings' | 'tour' | 'memories'

/** The page: sign-in, the chooser of a fleet, or the conversation with what stands around it. */
export function App(): JSX.Element {
  useEffect(() => {
    document.documentElement.lang = language.value
  }, [language.value])
  return (
    <>
      {state.signedOut.value ? <SignIn /> : behind()}
      <p class="offscreen" role="status">
        {status.value}
      </p>
    </>
  )
}

/** What is behind the door: a workflow, a fleet, or an agent. */
function behind(): JSX.Element {
  const door = state.door.value
  return door?.workflow ? <Flow /> : door?.fleet ? <Fleet /> : <Talk />
}

function Talk(): JSX.Element {
  const open = useSignal<Open>('none')
  const menu = useSignal(false)
  const tools = useSignal(false)
  const close = (): void => {
    open.value = 'none'
  }
  useEffect(() => {
    const pressed = (event: KeyboardEvent): void => {
      if (event.key === 'Escape' && open.value === 'none') {
        if (menu.value) menu.value = false
        else if (state.isRunning.value) void state.stop()
      }
      if (event.key.toLowerCase() === 'k' && (event.ctrlKey || event.metaKey)) {
        event.preventDefault()
        menu.value = true
        requestAnimationFrame(() => document.getElementById('search')?.focus())
      }
    }
    addEventListener('keydown', pressed)
    return () => removeEventListener('keydown', pressed)
  }, [])
  const keeps = state.keepsSessions.value
  return (
    <div class={`talk ${menu.value ? 'menu-open' : ''} ${tools.value ? 'tools-open' : ''}`}>
      <a class="skip" href="#message" onClick={focus}>
        {say('skip')}
      </a>
      {keeps && <Sidebar close={() => (menu.value = false)} />}
      <main>
        <Head
          keeps={keeps}
          show={(what) => (open.value = what)}
          isMenuOpen={menu.value}
          areToolsOpen={tools.value}
          toggleMenu={() => (menu.value = !menu.value)}
          toggleTools={() => (tools.value = !tools.value)}
        />
        <Log />
        <Composer />
      </main>
      {tools.value && <Tools close={() => (tools.value = false)} />}
      {open.value === 'settings' && <Settings close={close} />}
      {open.value === 'tour' && <Tour close={close} />}
      {open.value === 'memories' && <Memories close={close} />}
    </div>
  )
}

function focus(event: Event): void {
  event.preventDefault()
  document.getElementById('message')?.focus()
}

interface HeadProps {
  keeps: boolean
  show: (what: Open) => void
  isMenuOpen: boolean
  areToolsOpen: boolean
  toggleMenu: () => void
  toggleTools: () => void
}

function Head(props: HeadProps): JSX.Element {
  const waiting = state.waitingCount.value
  return (
    <header class="row head">
      {props.keeps && (
        <button type="button" class="quiet narrow" aria-expanded={props.isMenuOpen} aria-label={say('menu')} onClick={props.toggleMenu}>
          <Icon name="menu" />
        </button>
      )}
      <h1 class="grow text">{state.info.value?.display_name ?? say('agent')}</h1>
      {waiting > 0 && <span class="badge warm">{say('waiting', waiting)}</span>}
      <button type="button" class="quiet" aria-expanded={props.areToolsOpen} aria-label={say('tools')} onClick={props.toggleTools}>
        <Icon name="tool" />
      </button>
      {state.info.value?.remembers && (
        <button type="button" class="quiet" aria-label={say('memories')} onClick={() => props.show('memories')}>
          <Icon name="heart" />
        </button>
      )}
      <button type="button" class="quiet" aria-label={say('about')} onClick={() => props.show('tour')}>
        <Icon name="info" />
      </button>
      <button type="button" class="quiet" aria-label={say('settings')} onClick={() => props.show('settings')}>
        <Icon name="gear" />
      </button>
      {state.info.value && state.info.value.auth !== 'none' && (
        <button type="button" class="quiet" aria-label={say('signOut')} onClick={state.signOut}>
          <Icon name="out" />
        </button>
      )}
    </header>
  )
}

/** Every call of the conversation, and what it cost so far. */
function Tools({ close }: { close: () => void }): JSX.Element {
  const items = state.items.value
  const calls = items.filter((item): item is ToolItem => item.kind === 'tool')
  return (
    <aside class="tools" aria-label={say('tools')}>
      <header class="row">
        <h2 class="grow">{say('tools')}</h2>
        <button type="button" class="quiet" aria-label={say('close')} onClick={close}>
          <Icon name="close" />
        </button>
      </header>
      <p class="faint small">
        {say('used')}: {cost(used(items))}
      </p>
      {calls.length === 0 && <p class="faint">{say('noTools')}</p>}
      {calls.map((item, at) => (
        <ToolCall key={at} item={item} />
      ))}
    </aside>
  )
}

function used(items: readonly Item[]): { input_tokens: number; output_tokens: number; total_tokens: number; cost_usd?: number } {
  let input = 0
  let output = 0
  let usd: number | undefined
  for (const item of items) {
    if (item.kind !== 'answer' || !item.usage) continue
    input += item.usage.input_tokens
    output += item.usage.output_tokens
    if (item.usage.cost_usd !== undefined) usd = (usd ?? 0) + item.usage.cost_usd
  }
  return { input_tokens: input, output_tokens: output, total_tokens: input + output, ...(usd === undefined ? {} : { cost_usd: usd }) }
}
