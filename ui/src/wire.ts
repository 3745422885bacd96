/** What the runtime says and takes, as docs/runtime.md describes it. */

export interface Usage {
  input_tokens: number
  output_tokens: number
  total_tokens: number
  cost_usd?: number
  estimated?: boolean
}

export interface Call {
  id: string
  name: string
  args: unknown
}

/** A call that waits for a person. */
export interface Pending extends Call {
  type: 'approval' | 'question'
  digest: string
  server?: string
  agent?: string
  asks?: { message?: string; schema?: Schema }
  problem?: string
}

export interface Waiting {
  run_id: string
  expires_at: string
  calls: Pending[]
  problem?: string
}

export interface Citation {
  number: number
  source: string
  heading?: string
  score?: number
  text?: string
}

export type Part =
  | { type: 'text'; text: string }
  | { type: 'image_url'; image_url: { url: string } }
  | { type: 'file'; file: { filename: string; file_data: string } }

export interface Result {
  id: string
  name: string
  ok: boolean
  content: string
  images?: Part[]
  citations?: Citation[]
  duration_ms?: number
  outcome?: string
}

export type Message =
  | { role: 'user'; content: string | Part[]; created_at: string }
  | {
      role: 'assistant'
      content: string
      thinking?: string
      tool_calls: Call[]
      model: string
      usage: Usage
      finish_reason: string
      created_at: string
    }
  | { role: 'tool'; results: Result[]; created_at: string }
  | { role: 'summary'; content: string; keeps: number; created_at: string }

export interface Session {
  session_id: string
  title: string
  model: string
  variant?: string
  created_at: string
  updated_at: string
  messages: number
  revision: number
  /** Run that waits for a person. */
  waiting: string | null
  /** Run that has not ended yet. */
  running?: string | null
  temperature?: number | null
}

export interface Schema {
  type?: string | string[]
  properties?: Record<string, Schema>
  required?: string[]
  enum?: unknown[]
  title?: string
  description?: string
}

export interface ToolInfo {
  name: string
  type: string
  server: string | null
  description: string
  requires_approval: boolean
  parameters?: Schema
}

export interface Price {
  input_per_million: number
  output_per_million: number
}

export interface Info {
  agent: string
  namespace: string
  display_name: string
  description: string
  version: string
  config: string
  models: string[]
  default_model: string
  variants?: { name: string; weight: number }[]
  tools: ToolInfo[]
  mcp_servers: Record<string, unknown> | unknown[]
  memory: string
  auth: string
  features: string[]
  limits?: { run_seconds?: number; steps?: number; approval_seconds?: number; attachment_bytes?: number }
  quota?: Record<string, unknown> | null
  sessions?: { ttl_seconds?: number; most?: number }
  prices?: Record<string, Price>
  remembers?: boolean
  /** Models that take a temperature. */
  temperature?: string[]
}

/** What everybody may know before signing in. */
export interface Door {
  agent?: string
  namespace: string
  title?: string
  /** The workflow whose page this is. */
  workflow?: string
  /** Whether this is the page of a fleet. */
  fleet?: boolean
  auth: { type: 'none' | 'apiKey' | 'oidc'; issuer?: string; clientId?: string; scopes?: string[] }
}

export interface Memory {
  id: string
  text: string
  kind: string
  created_at: string
  session_id: string | null
}

/** One agent of a fleet, of agents.json. */
export interface Neighbour {
  name: string
  namespace: string
  title: string
  description?: string
  /** Where its page is: a path of this host, or a URL of another. */
  path: string
  sign_in?: 'none' | 'shared' | 'own'
}

export interface WaitingRun extends Waiting {
  session_id?: string
  title?: string
  asked_by?: string
  may_decide?: boolean
}

/** A workflow: what its runs are begun with, and what they do. */
export interface FlowInfo {
  workflow: string
  namespace: string
  display_name: string
  description: string
  version: string
  config: string
  auth: string
  input: Input[]
  steps: FlowStep[]
}

export interface Input {
  name: string
  type: 'string' | 'number' | 'integer' | 'boolean' | 'array' | 'object'
  required?: boolean
  description?: string
  default?: unknown
  enum?: unknown[]
}

export interface FlowStep {
  name: string
  agent: string
  depends_on?: string[]
}

export type Phase = 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Skipped'

/** A run of a workflow, as the list has it. */
export interface RunLine {
  name: string
  phase: Phase
  reason: string
  /** Seconds since 1970. */
  created: number
  waiting?: boolean
}

export interface StepState {
  name: string
  phase: Phase
  /** `WaitingForPerson`, or nothing. */
  reason?: string
  attempts?: number
  restarts?: number
  startTime?: string
  completionTime?: string
  error?: { code: string; message: string }
  usage?: Partial<Usage>
}

/** A step with what it keeps, and what it waits for. */
export interface StepDetail extends StepState {
  output: Record<string, unknown>
  pending?: Waiting
  problem?: string
}

/** A run of a workflow, in the form of a Kubernetes object. */
export interface FlowRun {
  metadata: { name: string; creationTimestamp: string }
  spec: { input?: Record<string, unknown> }
  status: {
    phase: Phase
    reason?: string
    message?: string
    startTime?: string
    completionTime?: string
    steps: StepState[]
    output?: Record<string, unknown>
    usage?: Partial<Usage>
  }
}

/** Events of a run by name; the last one is `done` or `error`. */
export interface Events {
  run_start: { run_id: string; session_id: string | null; model: string; resumes?: string; decided_by?: string }
  token: { content: string }
  thinking: { content: string }
  tool_start: Call
  citations: { id: string; name: string; citations: Citation[] }
  tool_progress: { id: string; name: string; event: string; content?: string; tool?: string }
  tool_end: { id: string; name: string; ok: boolean; content: string; duration_ms: number; outcome?: string }
  compaction: { reason: string; outcome: string; before_tokens: number; after_tokens: number; messages: number }
  approval_required: Waiting
  usage: Usage
  done: { finish_reason: string; output: string; session_id: string | null; run_id: string }
  error: { code: string; message: string; retryable: boolean; run_id?: string }
}

export type EventName = keyof Events
