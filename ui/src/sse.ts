/** Server-sent events, as https://html.spec.whatwg.org/multipage/server-sent-events.html parses them. */

export interface Frame {
  /** Number of the event; empty if it had none. */
  id: string
  event: string
  data: string
}

/** Turn chunks of text, cut anywhere, into frames. Comments and frames without data are left out. */
export class Parser {
  #rest = ''
  #data: string[] = []
  #event = ''
  #id = ''

  push(chunk: string): Frame[] {
    const found: Frame[] = []
    // A carriage return at the end may be half of a line break: it waits for what comes next.
    const text = this.#rest + chunk
    const end = text.endsWith('\r') ? text.length - 1 : text.length
    let start = 0
    for (let at = 0; at < end; at++) {
      const char = text[at]
      if (char !== '\n' && char !== '\r') continue
      const frame = this.#line(text.slice(start, at))
      if (frame) found.push(frame)
      if (char === '\r' && text[at + 1] === '\n') at++
      start = at + 1
    }
    this.#rest = text.slice(start)
    return found
  }

  #line(line: string): Frame | null {
    if (line === '') {
      const frame = this.#data.length ? { id: this.#id, event: this.#event || 'message', data: this.#data.join('\n') } : null
      this.#data = []
      this.#event = ''
      return frame
    }
    if (line.startsWith(':')) return null
    const colon = line.indexOf(':')
    const field = colon < 0 ? line : line.slice(0, colon)
    let value = colon < 0 ? '' : line.slice(colon + 1)
    if (value.startsWith(' ')) value = value.slice(1)
    if (field === 'data') this.#data.push(value)
    else if (field === 'event') this.#event = value
    else if (field === 'id' && !value.includes('\0')) this.#id = value
    return null
  }
}

/** Read the frames of an answer until it ends. */
export async function* frames(body: ReadableStream<Uint8Array>): AsyncGenerator<Frame> {
  const reader = body.getReader()
  const parser = new Parser()
  const decoder = new TextDecoder()
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      yield* parser.push(decoder.decode(value, { stream: true }))
    }
  } finally {
    void reader.cancel().catch(() => undefined)
  }
}
