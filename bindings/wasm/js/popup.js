// The sign-in popup: opens it, and passes its callback to the page that opened it.

import { random } from './random.js'

const CALLBACK_TYPE = 'oauth-core:callback'
/**
 * The prefix of the window name of a popup: the name stays while the window visits the server, and no other window
 * has it. The rest of the name distinguishes two popups.
 */
const NAME_PREFIX = 'oauth-core:popup:'

/** The channel by which a popup passes its callback if `Cross-Origin-Opener-Policy` has severed the opener. */
const CHANNEL = 'oauth-core:callback'
const TAKEN_TYPE = 'oauth-core:taken'
/** The time for which a popup waits for a page to accept its callback, in milliseconds. */
const DELIVERY_TIMEOUT = 500

/** The number of checks, four per second, after which a closed popup is given up. */
const CHECKS_AFTER_CLOSING = 4
/** The time to wait for the callback of a popup that may only seem closed, in milliseconds. */
const MAX_WAIT = 300_000

/** An empty popup, or `null` if the browser refuses. */
export const open = () => window.open('', NAME_PREFIX + random(), 'popup,width=520,height=720')

/** The callback of the flow that `popup` is sent to. */
export function waitForCallback(popup, url, redirectUri, recognizes, wasm, signal) {
  const origin = new URL(redirectUri).origin
  return new Promise((resolve, reject) => {
    const channel = openChannel()
    const finish = (settle, value) => {
      channel?.close()
      removeEventListener('message', onMessage)
      clearInterval(closeCheck)
      signal?.removeEventListener('abort', abort)
      settle(value)
    }
    const isOurCallback = (data) => data?.type === CALLBACK_TYPE && typeof data.url === 'string' && recognizes(data.url)
    // Any page can post a message: it must come from the redirect URI's origin and from the window that was opened, and
    // carry this flow's state. Other messages are ignored.
    const onMessage = (event) => {
      const { data, source } = event
      if (event.origin === origin && source === popup && isOurCallback(data)) finish(resolve, data.url)
    }
    // Any page of this origin can post to the channel, so the state must match as well.
    const acceptCallback = ({ data }) => {
      if (!isOurCallback(data)) return
      channel.postMessage({ type: TAKEN_TYPE, id: data.id })
      finish(resolve, data.url)
    }
    const abort = () => {
      popup.close()
      finish(reject, signal.reason)
    }
    // The last message of a closed window may still be in transit. A window that looks closed may also have
    // been severed by the `Cross-Origin-Opener-Policy` of the server's page (HTML section 7.1.3): its callback
    // then comes by the channel, and this page gets the focus back only when the window is closed.
    let closedChecks = 0
    let closedSince
    const closeCheck = setInterval(() => {
      if (!popup.closed) return
      closedSince ??= Date.now()
      closedChecks = document.hasFocus() ? closedChecks + 1 : 0
      if (closedChecks > CHECKS_AFTER_CLOSING || Date.now() - closedSince > MAX_WAIT) finish(reject, wasm.lostError('the popup was closed'))
    }, 250)
    if (channel) channel.onmessage = acceptCallback
    addEventListener('message', onMessage)
    signal?.addEventListener('abort', abort)
    if (signal?.aborted) abort()
    else popup.location.replace(url)
  })
}

/**
 * Passes the callback to the page that opened this popup, if it still exists, or by the channel if the opener was
 * severed. Returns whether a page has accepted it.
 */
export async function deliver(callback) {
  const { opener } = window
  if (window.name.startsWith(NAME_PREFIX) && isOwnPopup(opener)) {
    // Never '*': if the opener has navigated away, the browser drops the message.
    opener.postMessage({ type: CALLBACK_TYPE, url: callback }, location.origin)
  } else if (opener || !(await isClaimedElsewhere(callback))) {
    return false
  }
  window.name = ''
  window.close()
  return true
}

/** Whether another page of this origin waits for this callback. */
function isClaimedElsewhere(callback) {
  const channel = openChannel()
  if (!channel) return false
  const id = random()
  return new Promise((resolve) => {
    const finish = (isTaken) => {
      clearTimeout(timer)
      channel.close()
      resolve(isTaken)
    }
    const timer = setTimeout(() => finish(false), DELIVERY_TIMEOUT)
    channel.onmessage = ({ data }) => {
      if (data?.type === TAKEN_TYPE && data.id === id) finish(true)
    }
    channel.postMessage({ type: CALLBACK_TYPE, id, url: callback })
  })
}

const openChannel = () => (typeof BroadcastChannel === 'undefined' ? undefined : new BroadcastChannel(CHANNEL))

function isOwnPopup(opener) {
  try {
    return opener.location.origin === location.origin
  } catch {
    // The opener is gone, or of another origin.
    return false
  }
}
