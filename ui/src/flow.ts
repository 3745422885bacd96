/** The runs of a workflow: what its page knows of them, and what a person can do. */

import { batch, signal } from '@preact/signals'
import { attempt, failed, pause, signedOut, trouble } from './access'
import * as api from './api'
import { Problem } from './api'
import { status } from './status'
import type { FlowInfo, FlowRun, Phase, RunLine, StepDetail } from './wire'
import { say, type Word } from './words'

const PAGE = 30
const LARGEST_PAGE = 100
const REFRESH = 15_000
/** How often a step that waits is asked what it waits for: another question of the same step is no event. */
const ASK = 3_000
/** What a run may be called; the address may say anything. */
const NAME = /^[a-z0-9-]{1,63}$/

export const info = signal<FlowInfo | null>(null)
export const runs = signal<RunLine[]>([])
export const hasMore = signal(false)
/** Which runs are listed; empty for all. */
export const phase = signal<Phase | ''>('')
/** The run that is open. Its name is in the address, so that it can be sent to somebody else. */
export const run = signal<FlowRun | null>(null)
/** What steps of it keep and wait for, of those that somebody has asked for. */
export const details = signal<Record<string, StepDetail>>({})
export const isReconnecting = signal(false)
/** What stands in the form of a new run; it outlives signing in again. */
export const draft = signal<Record<string, string>>({})

/** Whether nothing more happens to a run. */
export function isOver(of: FlowRun | null): boolean {
  return of?.status.phase === 'Succeeded' || of?.status.phase === 'Failed'
}

/** Load what the workflow is. */
export async function enter(): Promise<void> {
  info.value = await api.ask<FlowInfo>('info')
}

/** Load the list, and the run that the address names. */
export async function start(): Promise<void> {
  await refresh()
  await open()
}

/** Forget everything that was shown. */
export function forget(): void {
  leave()
  listed++
  wanted = PAGE
  batch(() => {
    info.value = null
    runs.value = []
    hasMore.value = false
    phase.value = ''
    draft.value = {}
  })
}

let listed = 0
/** How many runs are listed. */
let wanted = PAGE

/** Load the list anew. */
export async function refresh(): Promise<void> {
  const number = ++listed
  const found: RunLine[] = []
  let next: string | undefined
  do {
    const words = new URLSearchParams({ limit: String(Math.min(LARGEST_PAGE, wanted - found.length)) })
    if (phase.value) words.set('phase', phase.value)
    if (next) words.set('cursor', next)
    const page = await api.ask<{ items: RunLine[]; cursor?: string }>(`runs?${words}`)
    found.push(...page.items)
    next = page.cursor
  } while (next && found.length < wanted)
  if (number !== listed) return // a newer question is being answered
  batch(() => {
    runs.value = found
    hasMore.value = next !== undefined
  })
}

/** Show more of the list. */
export async function showMore(): Promise<void> {
  wanted += PAGE
  await attempt(refresh)
}

/** List runs of one phase, or all. */
export async function choose(which: Phase | ''): Promise<void> {
  phase.value = which
  wanted = PAGE
  runs.value = []
  await attempt(refresh)
}

// -- one run ----------------------------------------------------------------------------------------

let opened = 0
let following: AbortController | null = null

/** Let go of the run that is open; it goes on. */
function leave(): void {
  opened++
  following?.abort()
  following = null
  batch(() => {
    run.value = null
    details.value = {}
    isReconnecting.value = false
    trouble.value = ''
  })
}

/** Open the run that the address names, and follow it to its end. */
export async function open(): Promise<void> {
  leave()
  const mine = opened
  const name = location.hash.slice(1)
  if (!name) return
  try {
    if (!NAME.test(name)) throw new Problem(404, 'run_not_found', say('runGone'), false)
    await look(name, mine)
  } catch (error) {
    if (mine === opened) failed(error)
    return
  }
  if (mine === opened && !isOver(run.value)) void follow(name, mine)
}

/** Go to a run; none is the place where a new one is begun. */
export function go(name: string): void {
  if (name && name !== location.hash.slice(1)) {
    location.hash = name
    return
  }
  if (!name) history.pushState(null, '', api.HOME)
  void open()
}

async function look(name: string, mine: number): Promise<void> {
  const found = await api.ask<FlowRun>(`runs/${name}`)
  if (mine !== opened) return
  const before = run.value
  const { phase, reason = '', steps } = found.status
  const line = { phase, reason, waiting: steps.some((one) => one.reason) }
  batch(() => {
    run.value = found
    runs.value = runs.value.map((one) => (one.name === name ? { ...one, ...line } : one))
  })
  const asked: Promise<void>[] = []
  for (const step of found.status.steps) {
    const was = before?.status.steps.find((one) => one.name === step.name)
    const isKnown = step.name in details.value
    if (step.reason || (isKnown && (was?.phase !== step.phase || was?.reason))) asked.push(ask(step.name, name, mine))
  }
  await Promise.all(asked)
}

async function ask(step: string, name: string, mine: number): Promise<void> {
  const found = await api.ask<StepDetail>(`runs/${name}/steps/${step}`)
  if (mine !== opened) return
  if (found.pending && !details.value[step]?.pending) status.value = say('approval')
  details.value = { ...details.value, [step]: found }
}

/** Load what a step keeps. */
export async function openStep(step: string): Promise<void> {
  const name = run.value?.metadata.name
  const mine = opened
  if (name) await attempt(() => ask(step, name, mine))
}

/** Look at a run whenever something has happened to it, as often as the connection is cut. */
async function follow(name: string, mine: number): Promise<void> {
  following = new AbortController()
  const { signal } = following
  let last = 0
  let isStale = false
  let looking: Promise<void> | null = null
  const looks = async (): Promise<void> => {
    while (isStale && mine === opened) {
      isStale = false
      await look(name, mine).catch(failed)
    }
    looking = null
  }
  /** Look at the run once more; events come in bunches, and one look does for all of them. */
  const again = (): Promise<void> => {
    isStale = true
    looking ??= looks()
    return looking
  }
  const timer = setInterval(() => {
    if (mine !== opened || signedOut.value || isOver(run.value)) clearInterval(timer)
    else if (run.value?.status.steps.some((one) => one.reason)) void again()
  }, ASK)
  for (let tries = 0; mine === opened && !isOver(run.value); ) {
    const before = last
    try {
      const headers = { 'Last-Event-ID': String(last) }
      for await (const frame of api.follow(`runs/${name}/events`, { headers, signal })) {
        if (mine !== opened) return
        isReconnecting.value = false
        last = Math.max(last, Number(frame.id) || 0)
        void again()
      }
      await again()
    } catch (error) {
      if (mine !== opened || signal.aborted) return
      if (error instanceof Problem && [401, 403, 404].includes(error.status)) return failed(error)
    }
    if (mine !== opened || isOver(run.value)) break
    tries = last > before ? 0 : tries + 1
    isReconnecting.value = true
    status.value = say('reconnecting')
    await pause(tries)
  }
  if (mine !== opened) return
  isReconnecting.value = false
  status.value = say(run.value?.status.phase as Word)
  await attempt(refresh)
}

/** Begin a run; returns why not, or nothing. */
export async function begin(input: Record<string, unknown>, name: string): Promise<string> {
  const mine = opened
  try {
    const made = await api.ask<FlowRun>('runs', { method: 'POST', body: { input, ...(name ? { name } : {}) } })
    draft.value = {}
    await attempt(refresh)
    if (mine === opened) go(made.metadata.name) // else something else was opened meanwhile
    return ''
  } catch (error) {
    if (error instanceof Problem && error.status !== 401) return error.code === 'offline' ? say('offline') : error.message
    failed(error)
    return ''
  }
}

/** Ask for a change of the run that is open; returns whether it was accepted. */
async function change(path: string, body: unknown = {}): Promise<boolean> {
  const name = run.value?.metadata.name
  if (!name) return false
  trouble.value = ''
  return attempt(() => api.ask(`runs/${name}/${path}`, { method: 'POST', body }).then(() => undefined))
}

/** End the run. */
export async function cancel(): Promise<void> {
  await change('cancel')
}

/** Begin a failed run again where it failed. */
export async function retry(): Promise<void> {
  if (await change('retry')) await open()
}

/** Decide for a step that waits. */
export async function decide(step: string, decisions: unknown[]): Promise<void> {
  const { pending: _, ...rest } = details.value[step] as StepDetail
  details.value = { ...details.value, [step]: rest }
  await change(`steps/${step}/approvals`, { decisions })
  await openStep(step) // if it was refused, it waits as before
}

/** Go where the address leads, and look now and then for runs that others have begun. */
export function watch(): void {
  addEventListener('hashchange', () => void open())
  const again = (): void => {
    if (!document.hidden && !signedOut.value && info.value) void refresh().catch((error) => error instanceof Problem && error.status === 401 && failed(error))
  }
  setInterval(again, REFRESH)
  document.addEventListener('visibilitychange', again)
}
