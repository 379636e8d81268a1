// Loaded before Lodestar: what some of its dependencies expect of newer versions of Node.
Promise.withResolvers ??= function () {
  const deferred = {};
  deferred.promise = new this((resolve, reject) => Object.assign(deferred, {resolve, reject}));
  return deferred;
};
Promise.try ??= function (fn, ...args) {
  return new this((resolve) => resolve(fn(...args)));
};
