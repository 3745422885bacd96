/** Copying to the clipboard, also where a page is served without TLS and has no clipboard of its own. */

import { say } from './words'
import { status } from './status'

/** Copy a text, and say so. */
export async function copy(text: string, near: Element): Promise<void> {
  status.value = (await copied(text, near)) ? say('copied') : say('copyFailed')
}

async function copied(text: string, near: Element): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    const area = document.createElement('textarea')
    area.value = text
    area.className = 'offscreen'
    near.after(area)
    area.select()
    const done = document.execCommand('copy')
    area.remove()
    return done
  }
}
