/** What the page knows, and what a person can do. */

import { batch, computed, signal } from '@preact/signals'
import { attempt, door, failed, pause, signedOut, signInReason, trouble } from './access'
import * as api from './api'
import { Problem } from './api'
import * as flow from './flow'
import { after, fold, grown, user, type FailureItem, type Item } from './fold'
import type { Frame } from './sse'
import { status } from './status'
import type { Events, EventName, Info, Memory, Message, Neighbour, Part, Session, Waiting, WaitingRun } from './wire'
import { say } from './words'

const PAGE = 30
/** Messages that are shown at first; a conversation of hundreds is there at once, and the rest on request. */
const FIRST_MESSAGES = 60
const LARGEST_PAGE = 200
const REFRESH = 15_000

export { door, signedOut, signInReason, trouble } from './access'
export const info = signal<Info | null>(null)
/** The agents of a fleet, where this is the page of one. */
export const neighbours = signal<Neighbour[]>([])

export const sessions = signal<Session[]>([])
export const total = signal(0)
export const query = signal('')

export const current = signal<string | null>(null)
export const session = signal<Session | null>(null)
export const items = signal<Item[]>([])
/** Stored messages before the first that is shown. */
export const earlier = signal(0)
export const run = signal<string | null>(null)
export const isRunning = signal(false)
export const isReconnecting = signal(false)
export const pending = signal<Waiting | null>(null)
/** Runs of others that this person decides on. */
export const ofOthers = signal<WaitingRun[]>([])
/** What is being written; it outlives signing in again. */
export const draft = signal('')
export const model = signal('')
export const temperature = signal<number | null>(null)
export const memories = signal<Memory[] | null>(null)

export const keepsSessions = computed(() => info.value?.features.includes('sessions') ?? false)
export const waitingCount = computed(() => sessions.value.filter((one) => one.waiting).length + ofOthers.value.length)

// -- starting ---------------------------------------------------------------------------------------

/** Load what is behind the door: an agent, a workflow, or the agents of a fleet. */
async function enter(): Promise<void> {
  if (door.value?.workflow) return flow.enter()
  if (!door.value?.fleet) {
    info.value = await api.ask<Info>('info')
    return
  }
  neighbours.value = (await api.ask<{ agents: Neighbour[] }>('agents.json')).agents
  shareKey()
}

/** Let the agents of a fleet that take the key of this page have it, or take it away there. */
function shareKey(): void {
  for (const one of neighbours.value) {
    const place = placeOf(one)
    if (one.sign_in === 'shared' && place.origin === api.HOME.origin) api.share(place)
  }
}

/** Return where the page of an agent is. */
export function placeOf(agent: Neighbour): URL {
  return new URL(agent.path.replace(/\/*$/, '/'), api.HOME)
}

/** Load the agent and the conversations, and open the one that was open before; or the agents of a fleet. */
export async function start(): Promise<void> {
  await attempt(async () => {
    await enter()
    signedOut.value = false
    if (door.value?.workflow) await flow.start()
    if (!info.value) {
      document.title = door.value?.title ?? say('fleet')
      return
    }
    if (!model.value) model.value = info.value.default_model
    document.title = info.value.display_name
    if (keepsSessions.value) {
      await refresh()
      const last = sessionStorage.getItem(OPEN)
      if (last && current.value === null) await open(last)
    }
  })
}

/** Sign in with a key or token; returns whether the agent takes it. */
export async function signIn(key: string): Promise<boolean> {
  api.signIn(key)
  try {
    await enter()
  } catch (error) {
    if (error instanceof Problem && error.status === 401) {
      api.signIn('')
      return false
    }
    failed(error)
    return false
  }
  const opened = current.value
  await start()
  if (opened) await open(opened)
  return true
}

/** Forget the key, and everything that was shown. */
export function signOut(): void {
  api.signIn('')
  leave()
  shareKey()
  flow.forget()
  batch(() => {
    info.value = null
    neighbours.value = []
    sessions.value = []
    ofOthers.value = []
    memories.value = null
    draft.value = ''
    signInReason.value = ''
    signedOut.value = door.value?.auth.type !== 'none'
  })
}

// -- conversations ----------------------------------------------------------------------------------

const OPEN = api.kept('open')
let listed = 0

/** Load the list anew, as far as it was shown. */
export async function refresh(more = 0): Promise<void> {
  const number = ++listed
  const wanted = Math.max(PAGE, sessions.value.length) + more
  const found: Session[] = []
  let all = 0
  do {
    const limit = Math.min(LARGEST_PAGE, wanted - found.length)
    const words = new URLSearchParams({ offset: String(found.length), limit: String(limit) })
    if (query.value) words.set('q', query.value)
    const page = await api.ask<{ sessions: Session[]; total: number }>(`sessions?${words}`)
    found.push(...page.sessions)
    all = page.total
    if (!page.sessions.length) break
  } while (found.length < Math.min(wanted, all))
  if (number !== listed) return // a newer question is being answered
  batch(() => {
    sessions.value = found
    total.value = all
  })
  const waiting = await api.ask<{ runs: WaitingRun[] }>('runs?status=waiting').catch(() => ({ runs: [] }))
  ofOthers.value = waiting.runs.filter((one) => one.asked_by !== undefined && one.may_decide !== false && !one.session_id)
}

/** Show another page of the list. */
export async function showMore(): Promise<void> {
  await attempt(() => refresh(PAGE))
}

/** Search among titles. */
export async function search(text: string): Promise<void> {
  query.value = text
  sessions.value = []
  await attempt(() => refresh())
}

let opened = 0
let following: AbortController | null = null

/** Let go of the conversation that is open; its run goes on. */
function leave(): void {
  opened++
  following?.abort()
  following = null
  gathered = null
  batch(() => {
    current.value = null
    session.value = null
    items.value = []
    earlier.value = 0
    run.value = null
    isRunning.value = false
    isReconnecting.value = false
    pending.value = null
    trouble.value = ''
  })
  sessionStorage.removeItem(OPEN)
}

/** Begin a new conversation; it is stored with its first message. */
export function startNew(): void {
  leave()
  temperature.value = null
  model.value = info.value?.default_model ?? ''
}

/** Open a stored conversation, and follow what runs in it. */
export async function open(id: string): Promise<void> {
  leave()
  const mine = opened
  current.value = id
  sessionStorage.setItem(OPEN, id)
  await attempt(() => load(id, mine))
}

async function load(id: string, mine: number): Promise<void> {
  let found: Session
  try {
    found = await api.ask<Session>(`sessions/${id}`)
  } catch (error) {
    if (error instanceof Problem && error.status === 404) {
      if (mine === opened) {
        leave()
        trouble.value = say('gone')
      }
      return
    }
    throw error
  }
  const from = Math.max(0, found.messages - FIRST_MESSAGES)
  const page = await messages(id, from, FIRST_MESSAGES)
  const waits = found.waiting ? await api.ask<{ pending?: Waiting }>(`runs/${found.waiting}`) : null
  if (mine !== opened) return
  batch(() => {
    session.value = found
    model.value = found.model || (info.value?.default_model ?? '')
    temperature.value = found.temperature ?? null
    items.value = fold(page)
    earlier.value = from
    pending.value = waits?.pending ?? null
  })
  if (found.running) void followOn(found.running, 0, mine)
}

async function messages(id: string, from: number, count: number): Promise<Message[]> {
  const found = await api.ask<{ messages: Message[] }>(`sessions/${id}/messages?offset=${from}&limit=${count}`)
  return found.messages
}

/** Show the messages before the first that is shown. */
export async function showEarlier(): Promise<void> {
  const id = current.value
  const mine = opened
  if (!id) return
  await attempt(async () => {
    const shown = session.value?.messages ?? 0
    const from = Math.max(0, earlier.value - LARGEST_PAGE)
    const found: Message[] = []
    // All from there on: a result may be on another page than its call.
    for (let at = from; at < shown; at += LARGEST_PAGE) found.push(...(await messages(id, at, LARGEST_PAGE)))
    if (mine !== opened || isRunning.value) return
    batch(() => {
      items.value = fold(found)
      earlier.value = from
    })
  })
}

/** Give a conversation another title. */
export async function rename(id: string, title: string): Promise<void> {
  await attempt(async () => {
    const found = await api.ask<Session>(`sessions/${id}`, { method: 'PATCH', body: { title } })
    sessions.value = sessions.value.map((one) => (one.session_id === id ? found : one))
    if (current.value === id) session.value = found
  })
}

/** Delete a conversation. */
export async function remove(id: string): Promise<void> {
  await attempt(async () => {
    await api.ask(`sessions/${id}`, { method: 'DELETE' })
    if (current.value === id) leave()
    await refresh()
  })
}

/** Choose the model of the conversation. */
export async function chooseModel(name: string): Promise<void> {
  model.value = name
  await change({ model: name })
}

/** Choose the temperature of the conversation; null is the model's own. */
export async function chooseTemperature(value: number | null): Promise<void> {
  temperature.value = value
  await change({ temperature: value })
}

async function change(body: Record<string, unknown>): Promise<void> {
  const id = current.value
  if (!id || !session.value) return // a new conversation is told with its first message
  await attempt(async () => {
    session.value = await api.ask<Session>(`sessions/${id}`, { method: 'PATCH', body })
  })
}

// -- running ----------------------------------------------------------------------------------------

/** Text that has arrived since the last frame was drawn. */
let gathered: { text: string; thinking: string } | null = null

function gather(text: string, thinking: string): void {
  if (gathered) {
    gathered.text += text
    gathered.thinking += thinking
    return
  }
  gathered = { text, thinking }
  const draw = (): void => flush()
  if (document.hidden) setTimeout(draw, 200)
  else requestAnimationFrame(draw)
}

function flush(): void {
  if (!gathered) return
  const { text, thinking } = gathered
  gathered = null
  items.value = grown(items.value, text, thinking)
}

/** Send a message. */
export async function send(text: string, parts: Part[] = []): Promise<void> {
  const content = contentOf(text, parts)
  items.value = [...items.value, user(content)]
  await begin({ message: content, ...choices() })
}

function contentOf(text: string, parts: Part[]): string | Part[] {
  return parts.length ? [...(text ? [{ type: 'text' as const, text }] : []), ...parts] : text
}

function choices(): Record<string, unknown> {
  return {
    ...(model.value && model.value !== info.value?.default_model ? { model: model.value } : {}),
    ...(temperature.value === null ? {} : { temperature: temperature.value }),
  }
}

/** Ask the message of a run that failed again. */
export async function retry(failure: FailureItem): Promise<void> {
  const last = items.value.findLastIndex((item) => item.kind === 'user')
  const asked = items.value[last]
  if (asked?.kind !== 'user') return
  items.value = items.value.slice(0, last + 1)
  if (failure.run) return begin({ retry_of: failure.run })
  return begin({ message: contentOf(asked.text, asked.parts), ...choices() })
}

async function begin(body: Record<string, unknown>): Promise<void> {
  const at = current.value && keepsSessions.value ? { session_id: current.value } : {}
  await through('chat', { ...body, ...at, stream: true })
}

/** Decide on the calls that wait. */
export async function decide(of: string, decisions: unknown[], isMine = true): Promise<void> {
  if (isMine) {
    pending.value = null
    return through(`runs/${of}/approvals`, { decisions, stream: true })
  }
  await attempt(async () => {
    await api.ask(`runs/${of}/approvals`, { method: 'POST', body: { decisions } })
    await refresh()
  })
}

/** Post something that begins a run, and follow the run to its end, whatever happens to the connection. */
async function through(path: string, body: unknown): Promise<void> {
  const mine = opened
  following = new AbortController()
  const { signal } = following
  batch(() => {
    run.value = null
    isRunning.value = true
    trouble.value = ''
    status.value = say('answering')
  })
  wantsStop = false
  const seen = new Seen()
  try {
    for await (const frame of api.follow(path, { method: 'POST', body, signal })) {
      if (mine !== opened) return
      seen.take(frame)
    }
  } catch (error) {
    if (mine !== opened || signal.aborted) return
    const isCut = seen.run !== null && !(error instanceof Problem && error.status !== 0)
    if (!isCut) return refused(error)
  }
  if (mine !== opened) return
  if (seen.run !== null && !seen.isOver) return followOn(seen.run, seen.last, mine)
  if (!seen.isOver) refused(new Problem(0, 'offline', say('offline'), true))
  await over()
}

/** A request that began nothing: what was asked stays, with the reason. */
function refused(error: unknown): void {
  isRunning.value = false
  if (error instanceof Problem && error.status === 401) return failed(error)
  const { code, message, retryable } = error instanceof Problem ? error : new Problem(0, 'offline', String(error), true)
  const waits = error instanceof Problem ? (error.extra['pending'] as Waiting | undefined) : undefined
  if (waits) pending.value = waits
  const text = code === 'offline' ? say('offline') : message
  items.value = [...items.value, { kind: 'failure', code, message: text, retryable, run: null }]
  status.value = text
}

/** What is known of a run by its events. */
class Seen {
  run: string | null = null
  last = 0
  isOver = false

  constructor(run: string | null = null, last = 0) {
    this.run = run
    this.last = last
  }

  take(frame: Frame): void {
    const number = Number(frame.id)
    if (number && number <= this.last) return // told again after a cut
    if (number) this.last = number
    const name = frame.event as EventName
    let data: unknown
    try {
      data = JSON.parse(frame.data)
    } catch {
      return
    }
    this.isOver ||= name === 'done' || name === 'error'
    if (name === 'token' || name === 'thinking') {
      const { content } = data as Events['token']
      return name === 'token' ? gather(content, '') : gather('', content)
    }
    flush()
    if (name === 'run_start') this.#begin(data as Events['run_start'])
    else if (name === 'approval_required') {
      pending.value = data as Waiting
      status.value = say('approval')
    } else items.value = after(items.value, name, data as never)
  }

  #begin(data: Events['run_start']): void {
    this.run = data.run_id
    run.value = data.run_id
    if (wantsStop) void stop()
    if (data.session_id && current.value === null) {
      current.value = data.session_id
      sessionStorage.setItem(OPEN, data.session_id)
      void refresh().catch(() => undefined)
    }
  }
}

/** Follow a run from an event on, as often as the connection is cut. */
async function followOn(id: string, last: number, mine: number): Promise<void> {
  following = new AbortController()
  const { signal } = following
  const seen = new Seen(id, last)
  batch(() => {
    run.value = id
    isRunning.value = true
  })
  for (let tries = 0; !seen.isOver && mine === opened; ) {
    const before = seen.last
    try {
      const headers = { 'Last-Event-ID': String(seen.last) }
      for await (const frame of api.follow(`runs/${id}/events`, { headers, signal })) {
        if (mine !== opened) return
        isReconnecting.value = false
        seen.take(frame)
      }
    } catch (error) {
      if (mine !== opened || signal.aborted) return
      if (error instanceof Problem && [401, 403].includes(error.status)) {
        isRunning.value = false
        return failed(error)
      }
      // The run is over and forgotten: the conversation says what became of it.
      if (error instanceof Problem && [404, 410].includes(error.status)) break
    }
    if (seen.isOver || mine !== opened) break
    tries = seen.last > before ? 0 : tries + 1
    isReconnecting.value = true
    status.value = say('reconnecting')
    await pause(tries)
  }
  if (mine !== opened) return
  isReconnecting.value = false
  if (seen.isOver) return over()
  isRunning.value = false
  if (current.value) await attempt(() => load(current.value as string, mine))
  if (mine !== opened || isRunning.value) return
  const found = await api.ask<RunState>(`runs/${id}`).catch(() => null)
  if (mine !== opened || isRunning.value || found?.status === 'succeeded' || found?.status === 'waiting') return
  // Its process is gone with its events. What it has told is in the conversation, which ends with the question.
  if (items.value.findLastIndex((item) => item.kind === 'user') < 0) return
  const error = found?.error
  const message = error?.detail ?? error?.message ?? say('offline')
  items.value = [...items.value, { kind: 'failure', code: error?.code ?? 'interrupted', message, retryable: true, run: found ? id : null }]
  status.value = message
}

interface RunState {
  status: string
  error?: { code?: string; detail?: string; message?: string }
}

/** A run has ended: the list and the conversation have changed. */
async function over(): Promise<void> {
  flush()
  batch(() => {
    isRunning.value = false
    run.value = null
  })
  const last = items.value.at(-1)
  if (last?.kind === 'failure' && last.code === 'cancelled') status.value = say('stopped')
  else if (!pending.value) status.value = last?.kind === 'failure' ? last.message : say('complete')
  if (!keepsSessions.value) return
  const id = current.value
  await refresh().catch(() => undefined)
  if (id && id === current.value && !isRunning.value)
    session.value = await api.ask<Session>(`sessions/${id}`).catch(() => session.value)
}

/** Whether the run is to be stopped as soon as it has a name. */
let wantsStop = false

/** Stop the run. */
export async function stop(): Promise<void> {
  if (!keepsSessions.value) {
    // Such a run ends with its connection.
    following?.abort()
    flush()
    items.value = [...items.value, { kind: 'failure', code: 'cancelled', message: '', retryable: true, run: null }]
    isRunning.value = false
    status.value = say('stopped')
    return
  }
  const id = run.value
  wantsStop = id === null
  if (id) await attempt(() => api.ask(`runs/${id}/cancel`, { method: 'POST' }).then(() => undefined))
}

// -- memories ---------------------------------------------------------------------------------------

/** Load what the agent remembers of the person. */
export async function loadMemories(): Promise<void> {
  await attempt(async () => {
    memories.value = (await api.ask<{ memories: Memory[] }>('memories?limit=200')).memories
  })
}

/** Forget one memory, or all. */
export async function forget(id: string | null): Promise<void> {
  await attempt(async () => {
    await api.ask(id ? `memories/${id}` : 'memories', { method: 'DELETE' })
    await loadMemories()
  })
}

// -- other tabs -------------------------------------------------------------------------------------

/** Look now and then for what other tabs and people have done. */
export function watch(): void {
  if (door.value?.workflow) return flow.watch()
  const look = async (): Promise<void> => {
    if (document.hidden || signedOut.value || !info.value || !keepsSessions.value || isRunning.value) return
    const mine = opened
    try {
      await refresh()
      const id = current.value
      if (!id || mine !== opened || isRunning.value) return
      const found = await api.ask<Session>(`sessions/${id}`)
      const known = session.value
      if (mine !== opened || isRunning.value || !known) return
      if (found.revision !== known.revision || found.running) await load(id, mine)
    } catch (error) {
      if (error instanceof Problem && error.status === 401) failed(error)
    }
  }
  setInterval(() => void look(), REFRESH)
  document.addEventListener('visibilitychange', () => void look())
  addEventListener('online', () => void look())
}
