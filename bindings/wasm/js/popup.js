// The popup: who opens it, and how its callback comes back.

import { random } from './random.js'

const TYPE = 'oauth-core:callback'
/**
 * The mark of a popup, at the head of its window's name: it stays while the window visits the server,
 * and no other window has it, however it was opened. The rest keeps two popups apart.
 */
const MARK = 'oauth-core:popup:'

/** How pages of this origin hand over a callback where the opener is cut off. */
const CHANNEL = 'oauth-core:callback'
const TAKEN = 'oauth-core:taken'
/** How long a page waits for one that takes its callback, in milliseconds. */
const HANDING = 500

/** How often a popup may be found closed before it is given up: four times in a second. */
const GRACE = 4
/** How long the answer of one that may only be out of sight is waited for, in milliseconds. */
const PATIENCE = 300_000

/** An empty popup, or `null` if the browser refuses. */
export const open = () => window.open('', MARK + random(), 'popup,width=520,height=720')

/** The callback of the flow that `popup` is sent to. */
export function answer(popup, url, redirectUri, recognizes, wasm, signal) {
  const origin = new URL(redirectUri).origin
  return new Promise((resolve, reject) => {
    const channel = channelOf()
    const end = (settle, value) => {
      channel?.close()
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
      if (typeof data.url === 'string' && recognizes(data.url)) end(resolve, data.url)
    }
    // Any page of this origin can post here, as any could read what another keeps: again the state decides.
    const take = ({ data }) => {
      if (data?.type !== TYPE || typeof data.url !== 'string' || !recognizes(data.url)) return
      channel.postMessage({ type: TAKEN, id: data.id })
      end(resolve, data.url)
    }
    const abort = () => {
      popup.close()
      end(reject, signal.reason)
    }
    // A closed window posts nothing more, but what it posted last may still be on its way. One that looks
    // closed may be there all the same: `Cross-Origin-Opener-Policy` of the server's page cuts it off
    // (HTML section 7.1.3), and its callback comes by the channel. Then the person is over there, and comes
    // back here with the focus when it is really closed.
    let gone = 0
    let since
    const watch = setInterval(() => {
      if (!popup.closed) return
      since ??= Date.now()
      gone = document.hasFocus() ? gone + 1 : 0
      if (gone > GRACE || Date.now() - since > PATIENCE) end(reject, wasm.lostError('the popup was closed'))
    }, 250)
    if (channel) channel.onmessage = take
    addEventListener('message', hear)
    signal?.addEventListener('abort', abort)
    if (signal?.aborted) abort()
    else popup.location.replace(url)
  })
}

/**
 * Hands the callback to the page that opened this window as a popup, if it is still there, or to the one
 * that knows it, where the server has cut this window off. Whether somebody has it.
 */
export async function deliver(callback) {
  const { opener } = window
  if (window.name.startsWith(MARK) && isOurs(opener)) {
    // Never '*': should the opener go elsewhere in between, the browser drops the message.
    opener.postMessage({ type: TYPE, url: callback }, location.origin)
  } else if (opener || !(await taken(callback))) {
    return false
  }
  window.name = ''
  window.close()
  return true
}

/** Whether another page of this origin waits for this callback. */
function taken(callback) {
  const channel = channelOf()
  if (!channel) return false
  const id = random()
  return new Promise((resolve) => {
    const end = (isTaken) => {
      clearTimeout(timer)
      channel.close()
      resolve(isTaken)
    }
    const timer = setTimeout(() => end(false), HANDING)
    channel.onmessage = ({ data }) => {
      if (data?.type === TAKEN && data.id === id) end(true)
    }
    channel.postMessage({ type: TYPE, id, url: callback })
  })
}

const channelOf = () => (typeof BroadcastChannel === 'undefined' ? undefined : new BroadcastChannel(CHANNEL))

function isOurs(opener) {
  try {
    return opener.location.origin === location.origin
  } catch {
    // Gone, or of another origin.
    return false
  }
}
