export default {
  kit: {
    // Forms of other sites are refused by the site; to SvelteKit the provider's notice that somebody has signed out there is one.
    csrf: { trustedOrigins: ['*'] },
  },
}
