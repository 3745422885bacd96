import type { JSX } from 'preact'
import * as state from '../state'
import type { ToolInfo } from '../wire'
import { say } from '../words'
import { Dialog } from './Dialog'

/** What the agent is and can do: tools, limits, memory, prices. */
export function Tour({ close }: { close: () => void }): JSX.Element | null {
  const info = state.info.value
  if (!info) return null
  const { limits, sessions, prices } = info
  const bounds = [
    limits?.run_seconds && say('seconds', limits.run_seconds),
    limits?.steps && `${limits.steps} ×`,
    limits?.attachment_bytes && `${Math.round(limits.attachment_bytes / 1024 / 1024)} MiB`,
  ].filter(Boolean)
  return (
    <Dialog title={info.display_name} close={close}>
      <p>{info.description}</p>
      <dl>
        <dt>{say('model')}</dt>
        <dd>{info.models.join(', ')}</dd>
        <dt>{say('memory')}</dt>
        <dd>
          {info.memory}
          {sessions?.ttl_seconds ? ` · ${say('hours', Math.round(sessions.ttl_seconds / 3600))}` : ''}
        </dd>
        {bounds.length > 0 && (
          <>
            <dt>{say('limits')}</dt>
            <dd>{bounds.join(' · ')}</dd>
          </>
        )}
        <dt>{say('version')}</dt>
        <dd>{info.version}</dd>
        <dt>{say('configuration')}</dt>
        <dd>
          <code title={info.config}>{info.config.slice(0, 8)}</code>
        </dd>
      </dl>
      {prices && Object.keys(prices).length > 0 && (
        <>
          <h3>{say('prices')}</h3>
          <ul>
            {Object.entries(prices).map(([name, price]) => (
              <li key={name}>
                {name}: {price.input_per_million} {say('input')}, {price.output_per_million} {say('output')}
              </li>
            ))}
          </ul>
        </>
      )}
      {info.tools.length > 0 && (
        <>
          <h3>{say('tools')}</h3>
          <ul class="tour">
            {info.tools.map((tool) => (
              <li key={`${tool.server} ${tool.name}`}>
                <Described tool={tool} />
              </li>
            ))}
          </ul>
        </>
      )}
    </Dialog>
  )
}

function Described({ tool }: { tool: ToolInfo }): JSX.Element {
  const fields = Object.entries(tool.parameters?.properties ?? {})
  return (
    <>
      <strong>{tool.name}</strong> <span class="faint">{tool.server ? `${tool.type} · ${tool.server}` : tool.type}</span>{' '}
      {tool.requires_approval && <span class="badge warm">{say('needsApproval')}</span>}
      <br />
      {tool.description}
      {fields.length > 0 && (
        <ul>
          {fields.map(([name, field]) => (
            <li key={name}>
              <code>{name}</code> {field.description ?? ''}
            </li>
          ))}
        </ul>
      )}
    </>
  )
}
