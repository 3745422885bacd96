import { effect, signal } from '@preact/signals'
import { kept } from './api'

export type Theme = 'auto' | 'light' | 'dark'

const KEPT = kept('theme')
const before = localStorage.getItem(KEPT)

/** Colours: as the system has them, or chosen. */
export const theme = signal<Theme>(before === 'light' || before === 'dark' ? before : 'auto')

effect(() => {
  document.documentElement.dataset['theme'] = theme.value
  localStorage.setItem(KEPT, theme.value)
})
