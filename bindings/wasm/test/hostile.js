// A page of another origin that posts a forged callback from its fragment to its parent and opener.

const url = decodeURIComponent(location.hash.slice(1))
const message = { type: 'oauth-core:callback', url }
if (url) {
  if (window.parent !== window) window.parent.postMessage(message, '*')
  window.opener?.postMessage(message, '*')
}
