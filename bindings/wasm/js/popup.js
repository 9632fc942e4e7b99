// The popup: who opens it, and how its callback comes back.

const TYPE = 'oauth-core:callback'

/** An empty popup, or `null` if the browser refuses. */
export const open = () => window.open('', '_blank', 'popup,width=520,height=720')

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
    // A closed window posts nothing.
    const watch = setInterval(() => {
      if (popup.closed) end(reject, wasm.lostError('the popup was closed'))
    }, 250)
    addEventListener('message', hear)
    signal?.addEventListener('abort', abort)
    if (signal?.aborted) abort()
    else popup.location.replace(url)
  })
}

/** Hands the callback to the window that opened this one, if it is of the same origin. */
export function deliver(callback, redirectUri) {
  if (!window.opener) return false
  // Never '*': where the opener has gone elsewhere, the browser drops the message.
  window.opener.postMessage({ type: TYPE, url: callback }, new URL(redirectUri).origin)
  window.close()
  return true
}
