import type { ComponentChildren, JSX } from 'preact'
import { useLayoutEffect, useRef } from 'preact/hooks'
import { say } from '../words'
import { Icon } from './Icons'

/** A dialog in front of the page: the browser keeps the focus in it, and it goes back to where it was. */
export function Dialog(props: { title: string; close: () => void; children: ComponentChildren }): JSX.Element {
  const element = useRef<HTMLDialogElement>(null)
  // Before the element is gone: closing gives the focus back.
  useLayoutEffect(() => {
    const dialog = element.current
    dialog?.showModal()
    return () => dialog?.close()
  }, [])
  return (
    <dialog
      ref={element}
      aria-labelledby="dialog-title"
      onCancel={(event) => {
        event.preventDefault()
        props.close()
      }}
      onClick={(event) => event.target === element.current && props.close()}
    >
      <div class="sheet">
        <header>
          <h2 id="dialog-title">{props.title}</h2>
          <button type="button" class="quiet" aria-label={say('close')} onClick={props.close}>
            <Icon name="close" />
          </button>
        </header>
        {props.children}
      </div>
    </dialog>
  )
}
