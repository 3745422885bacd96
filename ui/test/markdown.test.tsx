import { Fragment, isValidElement, type ComponentChildren, type VNode } from 'preact'
import { describe, expect, it } from 'vitest'
import { decoded, Markdown, safe } from '../src/markdown'
import HOSTILE from './hostile.json'

const ELEMENTS = new Set(
  'p strong em del code pre br a span h3 hr blockquote ul ol li div table thead tbody tr th td button'.split(' '),
)
const ATTRIBUTES = new Set('class href target rel title scope start tabIndex type onClick key children'.split(' '))

/** Every element that a text becomes, with what preact would set on it. */
function* elements(node: ComponentChildren): Generator<VNode<Record<string, unknown>>> {
  if (Array.isArray(node)) for (const one of node) yield* elements(one as ComponentChildren)
  if (!isValidElement(node)) return
  const found = node as VNode<Record<string, unknown>>
  if (typeof found.type === 'string') {
    yield found
    yield* elements(found.props.children)
  } else if (found.type === Fragment) yield* elements(found.props.children)
  else if (found.type.prototype?.render) {
    const Drawn = found.type as unknown as new (props: unknown) => { props: unknown; render: () => ComponentChildren }
    const drawn = new Drawn(found.props)
    drawn.props = found.props
    yield* elements(drawn.render())
  } else yield* elements((found.type as (props: unknown) => ComponentChildren)(found.props))
}

function drawn(text: string): VNode<Record<string, unknown>>[] {
  return [...elements(Markdown({ text }))]
}

function harmless(text: string): void {
  for (const { type, props } of drawn(text)) {
    expect(ELEMENTS, text).toContain(type)
    for (const name of Object.keys(props)) expect(ATTRIBUTES, `${text}: <${String(type)} ${name}>`).toContain(name)
    if (props['href'] !== undefined) {
      expect(type).toBe('a')
      expect(String(props['href']), text).toMatch(/^(https?:\/\/[^@\s]*$|mailto:)/)
      expect(props).toMatchObject({ target: '_blank', rel: 'noopener noreferrer nofollow' })
    }
  }
}

/** What a model, a tool or a document may say to make the page ask somebody, run something, or show something else. */
describe('hostile texts', () => {
  it('are many', () => expect(new Set(HOSTILE).size).toBeGreaterThanOrEqual(60))

  it.each(HOSTILE)('become harmless elements, wherever they are cut: %j', (text) => {
    const step = Math.max(1, Math.floor(text.length / 120))
    for (let end = 0; end <= text.length; end += step) harmless(text.slice(0, end))
    harmless(text)
    harmless(`before\n\n${text}\n\nafter`)
  })
})

describe('addresses', () => {
  it.each(['https://a.example/x?y=1#z', 'http://127.0.0.1:8080/', 'mailto:a@b.example'])('are followed: %s', (href) => expect(safe(href)).not.toBeNull())
  it.each(['javascript:alert(1)', ' https://a.example', 'https://u:p@a.example', '//a.example', '/x', 'https:a', 'data:,x', 'HTTPS//x', 'mailto', ''])(
    'are not followed: %j',
    (href) => expect(safe(href)).toBeNull(),
  )
})

describe('entities', () => {
  it.each([
    ['&amp;lt;', '&lt;'],
    ['a &lt; b &amp;&amp; c', 'a < b && c'],
    ['&#65;&#x42;&nbsp;', 'AB\u00a0'],
    ['&unknown; &#xd800; &#0; &#1114112;', '&unknown; &#xd800; &#0; &#1114112;'],
  ])('%j is %j', (text, wanted) => expect(decoded(text)).toBe(wanted))
})

describe('Markdown', () => {
  const names = (text: string): unknown[] => drawn(text).map((one) => one.type)

  it('has tables, lists, code and headings of one level', () => {
    expect(names('# a\n\n#### b')).toEqual(['h3', 'h3'])
    expect(names('| a |\n|--:|\n| 1 |')).toEqual(['div', 'table', 'thead', 'tr', 'th', 'tbody', 'tr', 'td'])
    expect(names('3. a\n4. b')).toEqual(['ol', 'li', 'li'])
    expect(names('```js\n1\n```')).toEqual(['div', 'div', 'span', 'button', 'pre', 'code'])
  })

  it('keeps the text of what it does not draw', () => {
    const text = (nodes: ComponentChildren): string =>
      Array.isArray(nodes) ? nodes.map(text).join('') : isValidElement(nodes) ? text((nodes as VNode<Record<string, unknown>>).props['children'] as ComponentChildren) : String(nodes ?? '')
    const [paragraph] = drawn('<b onclick=x>bold</b>')
    expect(text(paragraph?.props['children'] as ComponentChildren)).toContain('onclick=x')
  })
})
