// A page of another origin that posts what its fragment says to whoever might listen.

const url = decodeURIComponent(location.hash.slice(1))
const message = { type: 'oauth-core:callback', url }
if (url) {
  if (window.parent !== window) window.parent.postMessage(message, '*')
  window.opener?.postMessage(message, '*')
}
