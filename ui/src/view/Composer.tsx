import { useSignal } from '@preact/signals'
import type { JSX } from 'preact'
import { useRef } from 'preact/hooks'
import * as state from '../state'
import type { Part } from '../wire'
import { say } from '../words'
import { Icon } from './Icons'
import { Parts } from './Message'

const IMAGES = /^image\/(png|jpeg|webp|gif)$/
/** Bytes of a file if the agent does not say. */
const MOST = 5 * 1024 * 1024

function part(file: File): Promise<Part> {
  return new Promise((done, failed) => {
    const reader = new FileReader()
    reader.onerror = () => failed(reader.error ?? new Error(file.name))
    reader.onload = () => {
      const url = String(reader.result)
      done(
        IMAGES.test(file.type)
          ? { type: 'image_url', image_url: { url } }
          : { type: 'file', file: { filename: file.name, file_data: url } },
      )
    }
    reader.readAsDataURL(file)
  })
}

/** Where one writes. Enter sends, Shift+Enter breaks the line, Esc stops the answer. */
export function Composer(): JSX.Element {
  const parts = useSignal<Part[]>([])
  const picker = useRef<HTMLInputElement>(null)
  const isRunning = state.isRunning.value
  const isBlocked = isRunning || state.pending.value !== null
  const text = state.draft.value

  const attach = async (files: Iterable<File>): Promise<void> => {
    const most = Math.min(MOST, state.info.value?.limits?.attachment_bytes ?? MOST)
    for (const file of files) {
      if (file.size > most) state.trouble.value = `${file.name} ${say('tooBig', `${Math.floor(most / 1024 / 1024)} MiB`)}`
      else parts.value = [...parts.value, await part(file)]
    }
  }
  const submit = (): void => {
    const said = text.trim()
    if (isBlocked || !(said || parts.value.length)) return
    const files = parts.value
    state.draft.value = ''
    parts.value = []
    void state.send(said, files)
  }

  return (
    <form
      class="composer column"
      onSubmit={(event) => {
        event.preventDefault()
        submit()
      }}
      onDragOver={(event) => event.preventDefault()}
      onDrop={(event) => {
        event.preventDefault()
        void attach(event.dataTransfer?.files ?? [])
      }}
    >
      {parts.value.length > 0 && (
        <div class="row wrap">
          <Parts parts={parts.value} />
          <button type="button" class="quiet" onClick={() => (parts.value = [])}>
            {say('detach')}
          </button>
        </div>
      )}
      <div class="row bottom">
        <button type="button" class="quiet" aria-label={say('attach')} onClick={() => picker.current?.click()}>
          <Icon name="clip" />
        </button>
        <input
          ref={picker}
          type="file"
          multiple
          hidden
          tabIndex={-1}
          aria-hidden="true"
          onChange={(event) => {
            void attach([...(event.currentTarget.files ?? [])])
            event.currentTarget.value = ''
          }}
        />
        <textarea
          id="message"
          class="grow"
          rows={Math.min(8, text.split('\n').length)}
          aria-label={say('message')}
          placeholder={say('placeholder')}
          value={text}
          onInput={(event) => (state.draft.value = event.currentTarget.value)}
          onPaste={(event) => {
            const files = [...(event.clipboardData?.files ?? [])]
            if (files.length) void attach(files)
          }}
          onKeyDown={(event) => {
            // Enter that ends a composition, as of Hangul, sends nothing.
            if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return
            event.preventDefault()
            submit()
          }}
        />
        {isRunning ? (
          <button type="button" aria-label={say('stop')} onClick={() => void state.stop()}>
            <Icon name="stop" />
          </button>
        ) : (
          <button type="submit" class="primary" aria-label={say('send')} disabled={isBlocked || !(text.trim() || parts.value.length)}>
            <Icon name="send" />
          </button>
        )}
      </div>
    </form>
  )
}
