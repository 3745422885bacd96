/**
 * Markdown of a model → elements, with nothing of it as HTML.
 *
 * Whatever an answer, a tool or a document says: no request leaves (images are links that nobody follows by
 * themselves), no address but http, https and mailto can be followed, and HTML is text.
 */

import { Lexer, type Token, type Tokens } from 'marked'
import { Component, Fragment, type ComponentChildren, type JSX } from 'preact'
import { copy } from './copy'
import { say } from './words'

const OPTIONS = { gfm: true, breaks: true, pedantic: false }
const SCHEMES = new Set(['http:', 'https:', 'mailto:'])
const NAMED: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: '\u00a0' }
/** Levels below which nothing is taken apart any more: a text of a thousand brackets is no list of a thousand levels. */
const DEEPEST = 32

/** Return the address of a link if it may be followed, else null. */
export function safe(href: string): string | null {
  // A browser ignores control characters and blanks in a scheme; so nothing with them is an address.
  if (/[\u0000-\u0020\u007f-\u00a0\u2028\u2029\ufeff]/.test(href)) return null
  if (!/^(https?:\/\/|mailto:)/i.test(href)) return null
  try {
    const url = new URL(href)
    return SCHEMES.has(url.protocol) && !url.username && !url.password ? url.href : null
  } catch {
    return null
  }
}

/** Return text with the entities of HTML as the characters that they stand for. */
export function decoded(text: string): string {
  return text.replace(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|([a-z]{2,4}));/gi, (whole, decimal, hex, name) => {
    if (name) return NAMED[String(name).toLowerCase()] ?? whole
    const code = decimal ? Number(decimal) : parseInt(String(hex), 16)
    return code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff) ? String.fromCodePoint(code) : whole
  })
}

function link(href: string, children: ComponentChildren): JSX.Element {
  const address = safe(href)
  if (!address) return <span>{children}</span>
  return (
    <a href={address} target="_blank" rel="noopener noreferrer nofollow" title={address}>
      {children}
    </a>
  )
}

function inline(tokens: Token[] | undefined, depth: number): ComponentChildren {
  return tokens?.map((token, at) => <Fragment key={at}>{span(token, depth + 1)}</Fragment>) ?? null
}

function span(token: Token, depth: number): ComponentChildren {
  if (depth > DEEPEST) return token.raw
  switch (token.type) {
    case 'strong':
      return <strong>{inline(token.tokens, depth)}</strong>
    case 'em':
      return <em>{inline(token.tokens, depth)}</em>
    case 'del':
      return <del>{inline(token.tokens, depth)}</del>
    case 'codespan':
      return <code>{token['text'] as string}</code>
    case 'br':
      return <br />
    case 'link':
      return link(token['href'] as string, inline(token.tokens, depth))
    case 'image': {
      const { href, text } = token as Tokens.Image
      return link(href, `[${say('image')}${text ? `: ${decoded(text)}` : ''}]`)
    }
    case 'escape':
      return token['text'] as string
    case 'text':
      return token.tokens ? inline(token.tokens, depth) : decoded(token['text'] as string)
    case 'checkbox':
      return (token as { checked?: boolean }).checked ? '☑ ' : '☐ '
    default:
      return token.raw // HTML, and whatever a later version of the lexer knows
  }
}

function Code({ text, lang }: { text: string; lang: string }): JSX.Element {
  return (
    <div class="code">
      <div class="bar">
        <span>{lang}</span>
        <button type="button" class="quiet" onClick={(event) => void copy(text, event.currentTarget)}>
          {say('copy')}
        </button>
      </div>
      <pre tabIndex={0}>
        <code>{text}</code>
      </pre>
    </div>
  )
}

function block(token: Token, depth: number): ComponentChildren {
  if (depth > DEEPEST) return <p>{token.raw}</p>
  switch (token.type) {
    case 'space':
    case 'def':
      return null
    case 'code':
      return <Code text={token['text'] as string} lang={((token as Tokens.Code).lang ?? '').slice(0, 40)} />
    case 'heading':
      // One level for all: what a model calls its headings says nothing about where they are in this page.
      return <h3 class={`h${(token as Tokens.Heading).depth}`}>{inline(token.tokens, depth)}</h3>
    case 'hr':
      return <hr />
    case 'blockquote':
      return <blockquote>{blocks(token.tokens ?? [], depth)}</blockquote>
    case 'list': {
      const { ordered, start, items } = token as Tokens.List
      const rows = items.map((item, at) => <li key={at}>{blocks(item.tokens, depth)}</li>)
      return ordered ? <ol {...(typeof start === 'number' ? { start } : {})}>{rows}</ol> : <ul>{rows}</ul>
    }
    case 'table': {
      const { header, align, rows } = token as Tokens.Table
      const cell = (at: number): Record<string, string> => (align[at] ? { class: align[at] as string } : {})
      return (
        <div class="table" tabIndex={0}>
          <table>
            <thead>
              <tr>
                {header.map((one, at) => (
                  <th key={at} scope="col" {...cell(at)}>
                    {inline(one.tokens, depth)}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {rows.map((row, n) => (
                <tr key={n}>
                  {row.map((one, at) => (
                    <td key={at} {...cell(at)}>
                      {inline(one.tokens, depth)}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )
    }
    case 'paragraph':
      return <p>{inline(token.tokens, depth)}</p>
    case 'text':
      return token.tokens ? inline(token.tokens, depth) : decoded(token['text'] as string)
    case 'checkbox':
      return span(token, depth)
    default:
      return <p>{token.raw}</p>
  }
}

function blocks(tokens: Token[], depth: number): ComponentChildren {
  return tokens.map((token, at) => <Fragment key={at}>{block(token, depth + 1)}</Fragment>)
}

/** A block that is drawn again only when its text has changed: of an answer that grows, the last one. */
class Block extends Component<{ token: Token }> {
  override shouldComponentUpdate(next: { token: Token }): boolean {
    return next.token.raw !== this.props.token.raw || next.token.type !== this.props.token.type
  }

  override render(): ComponentChildren {
    return block(this.props.token, 0)
  }
}

/** Show a text as Markdown. */
export function Markdown({ text }: { text: string }): JSX.Element {
  const lexer = new Lexer(OPTIONS)
  let tokens: Token[]
  try {
    tokens = lexer.lex(text)
  } catch {
    return <p class="plain">{text}</p>
  }
  return (
    <>
      {tokens.map((token, at) => (
        <Block key={at} token={token} />
      ))}
    </>
  )
}
