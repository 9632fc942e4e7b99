// The settings of a vector's site, for every runtime.

/** In JavaScript's names. */
const toCamelCase = (members) => Object.fromEntries(Object.entries(members).map(([name, value]) => [name.replaceAll(/_(.)/g, (_, letter) => letter.toUpperCase()), value]))

/** The settings of the site and of its providers. */
export function siteSettings({ site = {}, providers }, twin, client, scope) {
  const settings = toCamelCase(JSON.parse(JSON.stringify(site).replaceAll('{provider}', twin)))
  if (!providers) return { ...settings, client, scope }
  return { ...settings, providers: providers.map((one) => ({ client, scope, ...toCamelCase(one) })) }
}
