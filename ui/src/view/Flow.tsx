import { useSignal } from '@preact/signals'
import type { ComponentChildren, JSX } from 'preact'
import { memo } from 'preact/compat'
import { useLayoutEffect, useRef } from 'preact/hooks'
import * as flow from '../flow'
import { inputs } from '../inputs'
import { Markdown } from '../markdown'
import * as state from '../state'
import type { FlowInfo, FlowRun, Input, Phase, RunLine, StepState, Usage } from '../wire'
import { language, say } from '../words'
import { Icon } from './Icons'
import { cost } from './Message'
import { Pending } from './Pending'
import { Settings } from './Settings'
import { lasted, pretty } from './ToolCall'

const PHASES = ['Pending', 'Running', 'Succeeded', 'Failed'] as const
const LOOKS: Record<Phase, string> = { Pending: '', Running: '', Succeeded: 'ok', Failed: 'failed', Skipped: '' }

/** The page of a workflow: its runs, and one of them with its steps. */
export function Flow(): JSX.Element {
  const menu = useSignal(false)
  const settings = useSignal(false)
  const content = useRef<HTMLDivElement>(null)
  const info = flow.info.value
  const run = flow.run.value
  return (
    <div class={`talk ${menu.value ? 'menu-open' : ''}`} onKeyDown={(event) => event.key === 'Escape' && (menu.value = false)}>
      <a
        class="skip"
        href="#run"
        onClick={(event) => {
          event.preventDefault()
          content.current?.focus()
        }}
      >
        {say('skipRun')}
      </a>
      <Runs close={() => (menu.value = false)} />
      <main>
        <header class="row head">
          <button type="button" class="quiet narrow" aria-expanded={menu.value} aria-label={say('runs')} onClick={() => (menu.value = !menu.value)}>
            <Icon name="menu" />
          </button>
          <h1 class="grow text">{info?.display_name ?? state.door.value?.title}</h1>
          <button type="button" class="quiet" aria-label={say('settings')} onClick={() => (settings.value = true)}>
            <Icon name="gear" />
          </button>
          {info && info.auth !== 'none' && (
            <button type="button" class="quiet" aria-label={say('signOut')} onClick={state.signOut}>
              <Icon name="out" />
            </button>
          )}
        </header>
        <div ref={content} id="run" class="log" tabIndex={0}>
          <div class="column">
            {state.trouble.value && (
              <p class="failure" role="alert">
                {state.trouble.value}
              </p>
            )}
            {flow.isReconnecting.value && <p class="notice">{say('reconnecting')}</p>}
            {run ? <Run key={run.metadata.name} run={run} /> : info && <Begin info={info} />}
          </div>
        </div>
      </main>
      {settings.value && <Settings close={() => (settings.value = false)} />}
    </div>
  )
}

function Runs({ close }: { close: () => void }): JSX.Element {
  const found = flow.runs.value
  const open = flow.run.value?.metadata.name
  const go = (name: string): void => {
    flow.go(name)
    close()
  }
  return (
    <nav class="sidebar" aria-label={say('runs')}>
      <div class="row">
        <button type="button" class="primary grow" onClick={() => go('')}>
          <Icon name="plus" /> {say('newRun')}
        </button>
        <button type="button" class="quiet narrow" aria-label={say('close')} onClick={close}>
          <Icon name="close" />
        </button>
      </div>
      <select aria-label={say('phase')} value={flow.phase.value} onChange={(event) => void flow.choose(event.currentTarget.value as Phase | '')}>
        <option value="">{say('allRuns')}</option>
        {PHASES.map((one) => (
          <option key={one} value={one}>
            {say(one)}
          </option>
        ))}
      </select>
      <ul class="sessions">
        {found.map((one) => (
          <Row key={one.name} run={one} isOpen={one.name === open} go={go} />
        ))}
      </ul>
      {found.length === 0 && <p class="faint">{say('noRuns')}</p>}
      {flow.hasMore.value && (
        <button type="button" class="quiet" onClick={() => void flow.showMore()}>
          {say('moreSessions')}
        </button>
      )}
    </nav>
  )
}

function Row({ run, isOpen, go }: { run: RunLine; isOpen: boolean; go: (name: string) => void }): JSX.Element {
  return (
    <li class="row">
      <button type="button" class="quiet title grow" {...(isOpen ? { 'aria-current': 'page' as const } : {})} onClick={() => go(run.name)}>
        <span class="grow">
          <span class="text">{run.name}</span>
          <br />
          <span class="faint small">{moment(run.created * 1000)}</span> <Badge phase={run.phase} />{' '}
          {run.waiting && <span class="badge warm">{say('waits')}</span>}
        </span>
      </button>
    </li>
  )
}

function Badge({ phase }: { phase: Phase }): JSX.Element {
  return <span class={`badge ${phase === 'Failed' ? 'warm' : ''}`}>{say(phase)}</span>
}

function moment(time: string | number): string {
  return new Date(time).toLocaleString(language.value, { dateStyle: 'medium', timeStyle: 'short' })
}

/** How long something took, if it is over. */
function took({ startTime, completionTime }: { startTime?: string; completionTime?: string }): string | false {
  return !!startTime && !!completionTime && lasted(Date.parse(completionTime) - Date.parse(startTime))
}

function used(usage: Partial<Usage> | undefined): string | false {
  return usage?.total_tokens !== undefined && cost({ input_tokens: 0, output_tokens: 0, total_tokens: 0, ...usage })
}

function line(...words: (string | false | undefined)[]): string {
  return words.filter(Boolean).join(' · ')
}

// -- a run ------------------------------------------------------------------------------------------

function Run({ run }: { run: FlowRun }): JSX.Element {
  const { metadata, spec, status } = run
  const heading = useRef<HTMLHeadingElement>(null)
  useLayoutEffect(() => heading.current?.focus(), [])
  const needs = new Map(flow.info.value?.steps.map((one) => [one.name, one]))
  const waiting = status.steps.filter((one) => flow.details.value[one.name]?.pending)
  const why = line(status.reason, status.message)
  return (
    <>
      <header class="row wrap">
        <h2 ref={heading} tabIndex={-1} class="grow">
          {metadata.name}
        </h2>
        <Badge phase={status.phase} />
        {!flow.isOver(run) && (
          <button type="button" onClick={() => void flow.cancel()}>
            {say('stop')}
          </button>
        )}
        {status.phase === 'Failed' && (
          <button type="button" onClick={() => void flow.retry()}>
            {say('retry')}
          </button>
        )}
      </header>
      <p class="faint small">{line(moment(metadata.creationTimestamp), took(status), used(status.usage))}</p>
      {why && <p class="failure">{why}</p>}
      {waiting.map((one) => (
        <Waits key={one.name} step={one.name} />
      ))}
      <section class="prose" aria-label={say('steps')}>
        <h3>{say('steps')}</h3>
        <ol class="steps">
          {status.steps.map((one) => (
            <li key={one.name}>
              <Step step={one} agent={needs.get(one.name)?.agent} after={needs.get(one.name)?.depends_on} />
            </li>
          ))}
        </ol>
      </section>
      {status.output && (
        <section class="prose" aria-label={say('result')}>
          <h3>{say('result')}</h3>
          <Values values={status.output} />
        </section>
      )}
      <details>
        <summary>{say('inputs')}</summary>
        <pre tabIndex={0}>{pretty(spec.input ?? {})}</pre>
      </details>
    </>
  )
}

function Waits({ step }: { step: string }): JSX.Element | null {
  const pending = flow.details.value[step]?.pending
  if (!pending) return null
  return (
    <section aria-label={step}>
      <p>
        <strong>{step}</strong>
      </p>
      <Pending key={pending.calls.map((one) => `${one.id} ${one.digest}`).join()} waiting={pending} isMine={false} decide={(made) => void flow.decide(step, made)} />
    </section>
  )
}

function Step({ step, agent, after }: { step: StepState; agent: string | undefined; after: string[] | undefined }): JSX.Element {
  const found = flow.details.value[step.name]
  const attempts = (step.attempts ?? 0) + (step.restarts ?? 0)
  const words = line(agent, say(step.phase), took(step), attempts > 1 && say('attempts', attempts), used(step.usage))
  return (
    <details class={`entry tool ${LOOKS[step.phase]}`} onToggle={(event) => event.currentTarget.open && void flow.openStep(step.name)}>
      <summary>
        <span class="dot" aria-hidden="true" />
        <span class="name">{step.name}</span>
        <span class="faint">{words}</span> {step.reason && <span class="badge warm">{say('waits')}</span>}
      </summary>
      {after && <p class="faint small">{say('after', after.join(', '))}</p>}
      {step.error && <p class="notice">{line(step.error.code, step.error.message)}</p>}
      {found?.problem && <p class="notice">{found.problem}</p>}
      {found && Object.keys(found.output).length > 0 && <Values values={found.output} />}
    </details>
  )
}

/** What a step or a run has put out: texts as agents write them, everything else as JSON. */
const Values = memo(function Values({ values }: { values: Record<string, unknown> }): JSX.Element {
  return (
    <>
      {Object.entries(values).map(([name, value]) => (
        <div key={name} class="prose">
          <p class="label">{name}</p>
          {typeof value === 'string' ? <Markdown text={value} /> : <pre tabIndex={0}>{pretty(value)}</pre>}
        </div>
      ))}
    </>
  )
})

// -- a new run --------------------------------------------------------------------------------------

/** Name of the field for the run's name: no input is called so, for their names begin with a letter. */
const RUN = ' name'

function Begin({ info }: { info: FlowInfo }): JSX.Element {
  const wrong = useSignal('')
  const isBusy = useSignal(false)
  return (
    <>
      <form
        class="sheet"
        aria-label={say('newRun')}
        onInput={(event) => {
          const { name, value } = event.target as HTMLInputElement
          flow.draft.value = { ...flow.draft.value, [name]: value }
        }}
        onSubmit={async (event) => {
          event.preventDefault()
          if (isBusy.value) return
          isBusy.value = true
          try {
            wrong.value = ''
            wrong.value = await flow.begin(inputs(info.input, flow.draft.value), flow.draft.value[RUN] ?? '')
          } catch (error) {
            wrong.value = (error as Error).message
          }
          isBusy.value = false
        }}
      >
        <h2>{say('newRun')}</h2>
        {info.description && <p class="plain">{info.description}</p>}
        {info.input.map((one) => (
          <Labelled key={one.name} name={isNeeded(one) ? `${one.name} *` : one.name} about={one.description}>
            <Field input={one} />
          </Labelled>
        ))}
        <Labelled name={say('runName')} about={say('runNameAbout')}>
          <input name={RUN} value={flow.draft.value[RUN] ?? ''} pattern="[a-z0-9]([a-z0-9\-]*[a-z0-9])?" maxLength={63} autoComplete="off" />
        </Labelled>
        {wrong.value && (
          <p class="failure" role="alert">
            {wrong.value}
          </p>
        )}
        <button type="submit" class="primary" disabled={isBusy.value}>
          {say('begin')}
        </button>
      </form>
      <section class="prose" aria-label={say('steps')}>
        <h3>{say('steps')}</h3>
        <ol class="steps">
          {info.steps.map((one) => (
            <li key={one.name}>
              <strong>{one.name}</strong> <span class="faint">{line(one.agent, one.depends_on && say('after', one.depends_on.join(', ')))}</span>
            </li>
          ))}
        </ol>
      </section>
      <p class="faint small">{line(`${say('version')} ${info.version}`, `${say('configuration')} ${info.config.slice(0, 8)}`)}</p>
    </>
  )
}

function Labelled({ name, about, children }: { name: string; about: string | undefined; children: ComponentChildren }): JSX.Element {
  return (
    <label>
      <span>
        {name} {about && <span class="faint small">{about}</span>}
      </span>
      {children}
    </label>
  )
}

/** Whether a run cannot be begun without an input. */
function isNeeded(input: Input): boolean {
  return input.required === true && input.default === undefined
}

function Field({ input }: { input: Input }): JSX.Element {
  const { name } = input
  const required = isNeeded(input)
  const value = flow.draft.value[name] ?? ''
  const placeholder = input.default === undefined ? '' : pretty(input.default)
  const options = input.enum ?? (input.type === 'boolean' ? [true, false] : undefined)
  if (options)
    return (
      <select name={name} value={value} required={required}>
        <option value="">{placeholder && `${say('byDefault')}: ${placeholder}`}</option>
        {options.map((one) => (
          <option key={String(one)} value={JSON.stringify(one)}>
            {pretty(one)}
          </option>
        ))}
      </select>
    )
  if (input.type === 'number' || input.type === 'integer')
    return <input type="number" step={input.type === 'integer' ? 1 : 'any'} {...{ name, value, required, placeholder }} />
  return <textarea rows={input.type === 'string' ? 2 : 4} {...{ name, value, required, placeholder }} />
}

