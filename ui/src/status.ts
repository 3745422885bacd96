import { signal } from '@preact/signals'

/** One line for screen readers: what has happened that cannot be seen by them. */
export const status = signal('')
