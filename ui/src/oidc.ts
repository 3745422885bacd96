/** Signing in at an OpenID Connect issuer: authorization code with PKCE (RFC 7636), no secret and no library. */

import { signal } from '@preact/signals'
import { HOME, kept, signIn } from './api'
import type { Door } from './wire'

/** Why signing in failed when one came back from the issuer. */
export const signInFailure = signal('')

const STATE = kept('oidc')

interface Started {
  state: string
  verifier: string
  token: string
  client: string
  /** What the address named, such as a run; it is there again when one comes back. */
  place: string
}

function random(): string {
  return encoded(crypto.getRandomValues(new Uint8Array(32)))
}

function encoded(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes)).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '')
}

/** Return an address of the issuer's, if it is one that a browser may be sent to. */
function secure(address: unknown): URL {
  const url = new URL(String(address))
  const isLocal = ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLocal)) throw new Error(`${url.origin} is not https`)
  return url
}

/** Go to the issuer's page. */
export async function leave(door: Door): Promise<void> {
  const { issuer = '', clientId = '', scopes = ['openid'] } = door.auth
  const place = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
  const found = (await (await fetch(place, { credentials: 'omit' })).json()) as Record<string, unknown>
  if (String(found['issuer']).replace(/\/$/, '') !== issuer.replace(/\/$/, '')) throw new Error('another issuer answers')
  const target = secure(found['authorization_endpoint'])
  const started: Started = { state: random(), verifier: random(), token: secure(found['token_endpoint']).href, client: clientId, place: location.hash }
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(started.verifier))
  sessionStorage.setItem(STATE, JSON.stringify(started))
  const words = {
    response_type: 'code',
    client_id: clientId,
    redirect_uri: HOME.href,
    scope: scopes.join(' '),
    state: started.state,
    code_challenge: encoded(new Uint8Array(digest)),
    code_challenge_method: 'S256',
  }
  for (const [name, value] of Object.entries(words)) target.searchParams.set(name, value)
  location.assign(target)
}

/** If one has come back from the issuer, trade the code for a token. */
export async function arrive(): Promise<void> {
  const words = new URLSearchParams(location.search)
  const code = words.get('code')
  const refusal = words.get('error_description') ?? words.get('error')
  if (!code && !refusal) return
  const kept = sessionStorage.getItem(STATE)
  sessionStorage.removeItem(STATE)
  const started = kept ? (JSON.parse(kept) as Started) : null
  history.replaceState(null, '', `${HOME.href}${started?.place ?? ''}`)
  if (!started || words.get('state') !== started.state) return // nobody here has asked for it
  if (!code) {
    signInFailure.value = String(refusal).slice(0, 300)
    return
  }
  const body = new URLSearchParams({
    grant_type: 'authorization_code',
    code,
    client_id: started.client,
    redirect_uri: HOME.href,
    code_verifier: started.verifier,
  })
  try {
    const answer = await fetch(started.token, { method: 'POST', body, credentials: 'omit' })
    const found = (await answer.json()) as Record<string, unknown>
    if (!answer.ok || typeof found['access_token'] !== 'string')
      throw new Error(String(found['error_description'] ?? found['error'] ?? `HTTP ${answer.status}`))
    signIn(found['access_token'])
  } catch (error) {
    signInFailure.value = String((error as Error).message).slice(0, 300)
  }
}
