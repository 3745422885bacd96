/** What a person has written in the form of a new run, as the inputs of the run. */

import type { Input } from './wire'
import { say } from './words'

/**
 * Return the inputs of a run; what is empty has its default.
 *
 * Throws an error with what is wrong of which input: no JSON, or a number that would be rounded.
 */
export function inputs(wanted: readonly Input[], texts: Record<string, string>): Record<string, unknown> {
  const found: Record<string, unknown> = {}
  for (const input of wanted) {
    const text = texts[input.name] ?? ''
    if (!text) continue
    try {
      found[input.name] = value(input, text)
    } catch (error) {
      throw new Error(`${input.name}: ${error instanceof Rounded ? error.message : say('badJson', (error as Error).message)}`)
    }
  }
  return found
}

class Rounded extends Error {}

function value(input: Input, text: string): unknown {
  if (input.enum) return JSON.parse(text)
  if (input.type === 'string') return text
  if (input.type === 'number' || input.type === 'integer') return /[.e]/i.test(text) ? Number(text) : exact(Number(text))
  return JSON.parse(text, (_, item: unknown) => exact(item))
}

/** Return a value; a whole number that JavaScript cannot hold is refused, like everywhere in a workflow. */
function exact(item: unknown): unknown {
  if (typeof item === 'number' && Number.isInteger(item) && !Number.isSafeInteger(item)) throw new Rounded(say('rounded', item))
  return item
}
