import { render } from 'preact'
import { door, isSignedIn } from './api'
import { arrive } from './oidc'
import * as state from './state'
import './style.css'
import './theme'
import { App } from './view/App'

async function begin(): Promise<void> {
  await arrive()
  state.door.value = await door()
  state.signedOut.value = state.door.value !== null && state.door.value.auth.type !== 'none' && !isSignedIn()
  if (!state.signedOut.value) await state.start()
  state.watch()
}

void begin().finally(() => render(<App />, document.getElementById('app') as HTMLElement))
