// Pages of the documentation, as they stand, with the servers moved to the twins.

const MAP = '<script type="importmap">{"imports":{"oauth-core-web":"/js/index.js"}}</script>'

/** The pages of a string. */
export const pagesOf = (text) => [...text.matchAll(/^```html\n([^]*?)^```$/gm)].map(([, page]) => page)

/** What a page says that it prints: the comment behind each `console.log`. */
export const promised = (page) =>
  [...page.matchAll(/^ *console\.log\(.*\) \/\/ (.+)$/gm)].map(([, text]) => text)

/** A page, or a piece of one, with the servers of this world. */
export const moved = (us, page) =>
  page
    .replaceAll('YOUR_CLIENT_ID', us.configs.uservoice.clientId)
    .replaceAll("provider: 'uservoice',", `provider: 'uservoice', loopback: '${us.twins.uservoice}',`)
    .replaceAll('https://app.example', us.origin)
    .replaceAll('https://acme.uservoice.com', us.twins.uservoice)
    .replaceAll('http://127.0.0.1:8080', us.twins.generic)
    .replaceAll('http://127.0.0.1:5173', us.origin)
    .replaceAll("issuer: 'https://bank.example',", `issuer: '${us.twins.bank}', loopback: true,`)
    .replaceAll('https://bank.example', us.twins.bank)

/** Serves a page at a path of this world. */
export const serve = (us, path, page) => {
  us.made[path] = () => `<!doctype html>${MAP}${page}`
}
