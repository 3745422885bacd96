import { useSignal } from '@preact/signals'
import type { JSX } from 'preact'
import { useLayoutEffect, useRef } from 'preact/hooks'
import { leave, signInFailure } from '../oidc'
import * as state from '../state'
import { say } from '../words'

/** Sign in by key or token, or at the issuer of tokens. */
export function SignIn(): JSX.Element {
  const field = useRef<HTMLInputElement>(null)
  const wrong = useSignal(signInFailure.value)
  const isBusy = useSignal(false)
  const door = state.door.value
  const issuer = door?.auth.type === 'oidc' && door.auth.clientId ? door.auth.issuer : undefined
  useLayoutEffect(() => field.current?.focus(), [])
  return (
    <main class="sign-in">
      <form
        onSubmit={async (event) => {
          event.preventDefault()
          isBusy.value = true
          const key = field.current?.value.trim() ?? ''
          if (!(await state.signIn(key))) wrong.value = state.trouble.value || say('wrongKey')
          isBusy.value = false
        }}
      >
        <h1>{door?.title ?? say('signIn')}</h1>
        {state.signInReason.value && <p role="status">{state.signInReason.value}</p>}
        {issuer && (
          <button
            type="button"
            class="primary"
            onClick={() =>
              void leave(door as NonNullable<typeof door>).catch((error: Error) => {
                wrong.value = say('signInFailed', error.message)
              })
            }
          >
            {say('signInWith', new URL(issuer).host)}
          </button>
        )}
        <label>
          {say('key')}
          <input ref={field} type="password" name="key" autoComplete="current-password" required spellcheck={false} />
        </label>
        {wrong.value && <p role="alert">{wrong.value}</p>}
        <button type="submit" class={issuer ? '' : 'primary'} disabled={isBusy.value}>
          {say('signIn')}
        </button>
      </form>
    </main>
  )
}
