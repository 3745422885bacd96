/** Who may look: the door, whether one has signed in, and what went wrong. */

import { signal } from '@preact/signals'
import * as api from './api'
import { Problem } from './api'
import type { Door } from './wire'
import { say } from './words'

export const door = signal<Door | null>(null)
export const signedOut = signal(false)
/** Why one has to sign in, if it was not the first time. */
export const signInReason = signal('')
export const trouble = signal('')

/** Say what went wrong, or ask to sign in again. */
export function failed(error: unknown): void {
  if (error instanceof DOMException && error.name === 'AbortError') return
  if (error instanceof Problem && error.status === 401) {
    signInReason.value = api.isSignedIn() ? say('expired') : ''
    signedOut.value = true
    return
  }
  trouble.value = error instanceof Problem && error.code === 'offline' ? say('offline') : String((error as Error).message)
}

/** Do something, and say what went wrong; returns whether it went well. */
export async function attempt(work: () => Promise<void>): Promise<boolean> {
  try {
    await work()
    return true
  } catch (error) {
    failed(error)
    return false
  }
}

const BACKOFF = [600, 1200, 2400, 4800, 8000]

/** Wait before another try; the first ones are soon. */
export async function pause(tries: number): Promise<void> {
  await new Promise((wake) => setTimeout(wake, BACKOFF[Math.min(tries, BACKOFF.length - 1)]))
}
