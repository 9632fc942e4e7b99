export default { serverExternalPackages: ['oauth-core'] }
