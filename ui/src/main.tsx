import { render } from 'preact'
import { ask, door, isSignedIn } from './api'
import { arrive } from './oidc'
import * as state from './state'
import './style.css'
import './theme'
import type { Neighbour } from './wire'
import { App } from './view/App'

async function begin(): Promise<void> {
  await arrive()
  state.door.value = await door()
  if (state.door.value === null) {
    const found = await ask<{ agents: Neighbour[] }>('agents.json').catch(() => null)
    if (found) {
      state.neighbours.value = found.agents
      return
    }
  }
  state.signedOut.value = state.door.value !== null && state.door.value.auth.type !== 'none' && !isSignedIn()
  if (!state.signedOut.value) await state.start()
  state.watch()
}

void begin().finally(() => render(<App />, document.getElementById('app') as HTMLElement))
