import { describe, expect, it } from 'vitest'
import { frames, Parser, type Frame } from '../src/sse'

const TEXT = 'id: 1\nevent: run_start\ndata: {"a":1}\n\n: ping\n\nid: 2\r\nevent: token\r\ndata: {"content":"é 한"}\r\n\r\ndata: one\ndata:two\n\nevent: nothing\n\nid: 3\rdata: cr\r\r'
const WANTED: Frame[] = [
  { id: '1', event: 'run_start', data: '{"a":1}' },
  { id: '2', event: 'token', data: '{"content":"é 한"}' },
  { id: '2', event: 'message', data: 'one\ntwo' },
  { id: '3', event: 'message', data: 'cr' },
]

describe('frames', () => {
  it('are the same wherever the text is cut', () => {
    for (let first = 0; first <= TEXT.length; first++)
      for (let second = first; second <= TEXT.length; second += 7) {
        const parser = new Parser()
        const parts = [TEXT.slice(0, first), TEXT.slice(first, second), TEXT.slice(second), '\n']
        expect(parts.flatMap((part) => parser.push(part))).toEqual(WANTED)
      }
  })

  it('are read from bytes that are cut within a character', async () => {
    const bytes = new TextEncoder().encode(TEXT + '\n')
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const byte of bytes) controller.enqueue(Uint8Array.of(byte))
        controller.close()
      },
    })
    const found: Frame[] = []
    for await (const frame of frames(body)) found.push(frame)
    expect(found).toEqual(WANTED)
  })

  it('that are not whole at the end are dropped', () => {
    expect(new Parser().push('data: half')).toEqual([])
    expect(new Parser().push('data: half\n')).toEqual([])
  })

  it('do not take a number with a null character', () => {
    expect(new Parser().push('id: 7\0\ndata: x\n\n')).toEqual([{ id: '', event: 'message', data: 'x' }])
  })
})
