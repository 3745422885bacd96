import { describe, expect, it } from 'vitest'
import { inputs } from '../src/inputs'
import type { Input } from '../src/wire'

function of(type: Input['type'], text: string, more: Partial<Input> = {}): unknown {
  return inputs([{ name: 'a', type, ...more }], { a: text })['a']
}

describe('what stands in the form', () => {
  it('is of the type that the input says', () => {
    expect(of('string', '007')).toBe('007')
    expect(of('string', 'true')).toBe('true')
    expect(of('integer', '007')).toBe(7)
    expect(of('number', '.5')).toBe(0.5)
    expect(of('number', '1e300')).toBe(1e300)
    expect(of('integer', '0')).toBe(0)
    expect(of('boolean', 'false', { enum: [true, false] })).toBe(false)
    expect(of('boolean', 'false')).toBe(false)
    expect(of('array', '[1, "b"]')).toEqual([1, 'b'])
    expect(of('object', '{"k": [null]}')).toEqual({ k: [null] })
    expect(of('string', '"3"', { enum: ['3', 3] })).toBe('3')
    expect(of('string', '3', { enum: ['3', 3] })).toBe(3)
  })

  it('is left out where it is empty', () => {
    expect(inputs([{ name: 'a', type: 'string' }, { name: 'b', type: 'integer' }], { a: '' })).toEqual({})
  })

  it('is refused by name where it is no JSON, or would be rounded', () => {
    expect(() => of('object', '{')).toThrow(/^a: /)
    expect(() => of('integer', '9007199254740993')).toThrow(/^a: .*too many digits/)
    expect(() => of('array', '[[9007199254740993]]')).toThrow(/too many digits/)
    expect(of('array', '["9007199254740993", 9007199254740991]')).toEqual(['9007199254740993', 9007199254740991])
  })
})
