/** Requests to the agent that served this page. */

import { frames, type Frame } from './sse'
import type { Door } from './wire'

/** Where the agent is: the page's own folder, whatever prefix a gateway has put before it. */
export const HOME = new URL('./', document.baseURI)

/** The name of something in the browser's storage, which agents below one host share. */
export function kept(name: string, place: URL = HOME): string {
  return `fleetform:${place.pathname}:${name}`
}

/** A request that failed, in the words of the runtime (RFC 9457) or of the network. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly retryable: boolean,
    readonly extra: Record<string, unknown> = {},
  ) {
    super(message)
  }
}

const KEY = kept('key')
let key = sessionStorage.getItem(KEY) ?? ''

/** Remember the key or token of the signed-in person until the tab is closed; empty forgets it. */
export function signIn(value: string): void {
  key = value
  if (value) sessionStorage.setItem(KEY, value)
  else sessionStorage.removeItem(KEY)
}

/** Whether there is a key for this agent, or for another one of this host. */
export function isSignedIn(place: URL = HOME): boolean {
  return keyAt(place) !== ''
}

function keyAt(place: URL): string {
  return place === HOME ? key : (sessionStorage.getItem(kept('key', place)) ?? '')
}

/** Let another page of this host, which takes the same key, know it; or take it away there when one has signed out. */
export function share(place: URL): void {
  if (key) sessionStorage.setItem(kept('key', place), key)
  else sessionStorage.removeItem(kept('key', place))
}

interface Wish {
  /** Whom to ask: another agent of this host, with the key that one has for it. */
  at?: URL
  method?: string
  body?: unknown
  headers?: Record<string, string>
  signal?: AbortSignal
}

async function send(path: string, { at = HOME, method = 'GET', body, headers = {}, signal }: Wish): Promise<Response> {
  const held = keyAt(at)
  const wanted: RequestInit = {
    method,
    headers: {
      ...headers,
      ...(held ? { Authorization: `Bearer ${held}` } : {}),
      ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
    },
    credentials: 'omit',
    cache: 'no-store',
    redirect: 'error',
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(signal ? { signal } : {}),
  }
  let answer: Response
  try {
    answer = await fetch(new URL(path, at), wanted)
  } catch (error) {
    if (signal?.aborted) throw error
    throw new Problem(0, 'offline', String((error as Error).message), true)
  }
  if (answer.ok) return answer
  throw await problem(answer)
}

async function problem(answer: Response): Promise<Problem> {
  const found = (await answer.json().catch(() => ({}))) as Record<string, unknown>
  const error = (found['error'] ?? found) as Record<string, unknown>
  const said = [error['detail'], error['message'], error['title']].find((text) => typeof text === 'string')
  return new Problem(
    answer.status,
    String(error['code'] ?? answer.status),
    String(said ?? `HTTP ${answer.status}`),
    error['retryable'] === true || answer.status >= 500,
    found,
  )
}

/** Ask for JSON. */
export async function ask<T>(path: string, wish: Wish = {}): Promise<T> {
  const answer = await send(path, wish)
  return (answer.status === 204 ? undefined : await answer.json()) as T
}

/** Ask for the events of a run. */
export async function* follow(path: string, wish: Wish): AsyncGenerator<Frame> {
  const headers = { Accept: 'text/event-stream', ...wish.headers }
  const answer = await send(path, { ...wish, headers })
  if (answer.body) yield* frames(answer.body)
}

/** Return how one signs in; an agent that does not say takes a key. */
export async function door(): Promise<Door | null> {
  return await ask<Door>('ui.json').catch(() => null)
}
