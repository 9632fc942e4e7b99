// The settings of a vector's site, for every runtime.

/** In JavaScript's names. */
const named = (given) => Object.fromEntries(Object.entries(given).map(([name, value]) => [name.replaceAll(/_(.)/g, (_, letter) => letter.toUpperCase()), value]))

/** The settings of the site and of its providers. */
export function settingsOf({ site = {}, providers }, twin, client, scope) {
  const settings = named(JSON.parse(JSON.stringify(site).replaceAll('{provider}', twin)))
  if (!providers) return { ...settings, client, scope }
  return { ...settings, providers: providers.map((one) => ({ client, scope, ...named(one) })) }
}
