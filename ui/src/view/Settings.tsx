import type { JSX } from 'preact'
import { useEffect } from 'preact/hooks'
import * as state from '../state'
import { theme, type Theme } from '../theme'
import { LANGUAGES, language, say, speak, type Language } from '../words'
import { Dialog } from './Dialog'

/** Model and temperature of the conversation; colours and language of the page. */
export function Settings({ close }: { close: () => void }): JSX.Element {
  const info = state.info.value
  const takes = info?.temperature?.includes(state.model.value) ?? false
  const value = state.temperature.value
  return (
    <Dialog title={say('settings')} close={close}>
      {info && (
        <label>
          {say('model')}
          <select
            value={state.model.value}
            disabled={state.isRunning.value}
            onChange={(event) => void state.chooseModel(event.currentTarget.value)}
          >
            {info.models.map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </label>
      )}
      {takes && (
        <label>
          {say('temperature')}: {value ?? say('byDefault')}
          <span class="row">
            <input
              class="grow"
              type="range"
              min="0"
              max="2"
              step="0.1"
              value={value ?? 1}
              onChange={(event) => void state.chooseTemperature(Number(event.currentTarget.value))}
            />
            <button type="button" class="quiet" onClick={() => void state.chooseTemperature(null)}>
              {say('byDefault')}
            </button>
          </span>
        </label>
      )}
      <label>
        {say('theme')}
        <select value={theme.value} onChange={(event) => (theme.value = event.currentTarget.value as Theme)}>
          {(['auto', 'light', 'dark'] as const).map((name) => (
            <option key={name} value={name}>
              {say(name)}
            </option>
          ))}
        </select>
      </label>
      <label>
        {say('languageOf')}
        <select value={language.value} onChange={(event) => speak(event.currentTarget.value as Language)}>
          {Object.entries(LANGUAGES).map(([name, words]) => (
            <option key={name} value={name} lang={name}>
              {words.language}
            </option>
          ))}
        </select>
      </label>
    </Dialog>
  )
}

/** What the agent remembers of the person, to be forgotten. */
export function Memories({ close }: { close: () => void }): JSX.Element {
  useEffect(() => void state.loadMemories(), [])
  const found = state.memories.value
  return (
    <Dialog title={say('memories')} close={close}>
      {found?.length === 0 && <p class="faint">{say('noMemories')}</p>}
      <ul class="memories">
        {found?.map((one) => (
          <li key={one.id} class="row">
            <span class="grow plain">{one.text}</span>
            <button type="button" aria-label={`${say('forget')}: ${one.text}`} onClick={() => void state.forget(one.id)}>
              {say('forget')}
            </button>
          </li>
        ))}
      </ul>
      {found && found.length > 1 && (
        <details>
          <summary>{say('forgetAll')}</summary>
          <button type="button" class="danger" onClick={() => void state.forget(null)}>
            {say('reallyAll')}
          </button>
        </details>
      )}
    </Dialog>
  )
}
