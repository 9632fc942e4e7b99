// The popup: who opens it, and how its callback comes back.

import { random } from './chance.js'

const TYPE = 'oauth-core:callback'
/**
 * The mark of a popup, at the head of its window's name: it stays while the window visits the server,
 * and no other window has it, however it was opened. The rest keeps two popups apart.
 */
const MARK = 'oauth-core:popup:'

/** How often a popup may be found closed before it is given up: four times in a second. */
const GRACE = 4

/** An empty popup, or `null` if the browser refuses. */
export const open = () => window.open('', MARK + random(), 'popup,width=520,height=720')

/** The callback of the flow that `popup` is sent to. */
export function answer(popup, url, redirectUri, recognises, wasm, signal) {
  const origin = new URL(redirectUri).origin
  return new Promise((resolve, reject) => {
    const end = (settle, value) => {
      removeEventListener('message', hear)
      clearInterval(watch)
      signal?.removeEventListener('abort', abort)
      settle(value)
    }
    const hear = (event) => {
      // Anyone can post a message: it must come from the redirect URI's origin, out of the window
      // that was opened, and carry this flow's state. Whatever does not is not even answered.
      const { data, source } = event
      if (event.origin !== origin || source !== popup || data?.type !== TYPE) return
      if (typeof data.url === 'string' && recognises(data.url)) end(resolve, data.url)
    }
    const abort = () => {
      popup.close()
      end(reject, signal.reason)
    }
    // A closed window posts nothing more, but what it posted last may still be on its way.
    let gone = 0
    const watch = setInterval(() => {
      if (popup.closed && ++gone > GRACE) end(reject, wasm.lostError('the popup was closed'))
    }, 250)
    addEventListener('message', hear)
    signal?.addEventListener('abort', abort)
    if (signal?.aborted) abort()
    else popup.location.replace(url)
  })
}

/** Hands the callback to the page that opened this window as a popup, if it is still there. */
export function deliver(callback) {
  const { opener } = window
  if (!window.name.startsWith(MARK) || !isOurs(opener)) return false
  // Never '*': should the opener go elsewhere in between, the browser drops the message.
  opener.postMessage({ type: TYPE, url: callback }, location.origin)
  window.name = ''
  window.close()
  return true
}

function isOurs(opener) {
  try {
    return opener.location.origin === location.origin
  } catch {
    // Gone, or of another origin.
    return false
  }
}
