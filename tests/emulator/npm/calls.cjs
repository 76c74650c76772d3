// Runs each call of calls.json against an emulator and prints one JSON object a call: node calls.cjs ENDPOINT PARENT.
//
// A call is right when what it promises is there; what the emulator refuses is the error of the call.
'use strict';
const assert = require('node:assert/strict');

const [endpoint, parent] = process.argv.slice(2);
for (const name of ['FIREBASE_FUNCTIONS_V2_URL', 'CLOUD_RUN_URL']) process.env[name] = endpoint;
const {FunctionServiceClient} = require('@google-cloud/functions').v2;
const {ServicesClient, RevisionsClient, JobsClient} = require('@google-cloud/run').v2;
const {PassThroughClient} = require('google-gax').googleAuthLibrary;
const {google} = require('googleapis');
require('firebase-tools/lib/apiv2').setAccessToken('any');
const firebase = require('firebase-tools/lib/gcp/cloudfunctionsv2');
const firebaseRun = require('firebase-tools/lib/gcp/runv2');
const firebaseIam = require('firebase-tools/lib/gcp/run');

const {hostname, port} = new URL(endpoint);
const project = parent.split('/')[1];
const location = parent.split('/')[3];
const options = {
  apiEndpoint: hostname, port: Number(port), protocol: 'http', fallback: true,
  authClient: new PassThroughClient(),
};
const clients = {
  functions: new FunctionServiceClient(options),
  services: new ServicesClient(options),
  revisions: new RevisionsClient(options),
  jobs: new JobsClient(options),
};
const apis = {
  functions: google.cloudfunctions({version: 'v2', rootUrl: `${endpoint}/`}).projects.locations,
  run: google.run({version: 'v2', rootUrl: `${endpoint}/`}).projects.locations,
  sheets: google.sheets({version: 'v4', rootUrl: `${endpoint}/`}).spreadsheets,
};
const kept = `${parent}/functions/kept`;
const service = `${parent}/services/kept`;
const source = 'def hello(request):\n    return "hello"\n';
const LATEST = 'TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST';

// A zip file with one stored member, written by hand: node has no such library.
function zipped(name, text) {
  const data = Buffer.from(text);
  const crc = require('node:zlib').crc32(data) >>> 0;
  const sizes = (at, buffer) => {
    buffer.writeUInt32LE(crc, at);
    buffer.writeUInt32LE(data.length, at + 4);
    buffer.writeUInt32LE(data.length, at + 8);
    buffer.writeUInt16LE(name.length, at + 12);
  };
  const head = Buffer.alloc(30);
  head.write('PK\x03\x04', 'latin1');
  sizes(14, head);
  const entry = Buffer.alloc(46);
  entry.write('PK\x01\x02', 'latin1');
  sizes(16, entry);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(1, 8);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(46 + name.length, 12);
  end.writeUInt32LE(30 + name.length + data.length, 16);
  return Buffer.concat([head, Buffer.from(name), data, entry, Buffer.from(name), end]);
}

async function uploaded() {
  const {data} = await apis.functions.functions.generateUploadUrl({parent, requestBody: {environment: 'GEN_2'}});
  const answer = await fetch(data.uploadUrl, {
    method: 'PUT', body: zipped('main.py', source), headers: {'content-type': 'application/zip'},
  });
  assert.equal(answer.status, 200);
  return data.storageSource;
}

const build = async () => ({runtime: 'python311', entryPoint: 'hello', source: {storageSource: await uploaded()}});

async function finished(operation) {
  for (;;) {
    const {data} = await apis.functions.operations.get({name: operation.name});
    if (data.done) return data;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function book() {
  const {data} = await apis.sheets.create({requestBody: {properties: {title: 'T'}}});
  await apis.sheets.values.update({
    spreadsheetId: data.spreadsheetId, range: 'Sheet1!A1', valueInputOption: 'USER_ENTERED',
    requestBody: {values: [['a', '1/2/2025'], ['b', '$3.50']]},
  });
  return data.spreadsheetId;
}

const functionsClient = {
  listFunctions: async (c) => assert((await c.listFunctions({parent}))[0].some((f) => f.name === kept)),
  'listFunctions, page by page': async (c) => {
    const names = [];
    for await (const one of c.listFunctionsAsync({parent, pageSize: 1})) names.push(one.name);
    assert(names.includes(kept));
  },
  getFunction: async (c) => assert.equal((await c.getFunction({name: kept}))[0].state, 'ACTIVE'),
  'getFunction of none': async (c) => assert.rejects(c.getFunction({name: `${kept}-not`}), {code: 404}),
  createFunction: async (c) => {
    const wanted = {environment: 'GEN_2', buildConfig: await build()};
    const [operation] = await c.createFunction({parent, functionId: 'made-by-npm', function: wanted});
    const [made] = await operation.promise();
    assert.equal(made.name, `${parent}/functions/made-by-npm`);
  },
  updateFunction: async (c) => {
    const [operation] = await c.updateFunction({
      function: {name: kept, labels: {by: 'npm'}}, updateMask: {paths: ['labels']},
    });
    assert.equal((await operation.promise())[0].labels.by, 'npm');
  },
  checkUpdateFunctionProgress: async (c) => {
    const [operation] = await c.updateFunction({
      function: {name: kept, labels: {by: 'npm'}}, updateMask: {paths: ['labels']},
    });
    await operation.promise();
    assert((await c.checkUpdateFunctionProgress(operation.name)).done);
  },
  deleteFunction: async (c) => {
    const [operation] = await c.deleteFunction({name: `${parent}/functions/made-by-npm`});
    await operation.promise();
    await assert.rejects(c.getFunction({name: `${parent}/functions/made-by-npm`}), {code: 404});
  },
  generateUploadUrl: async (c) => assert((await c.generateUploadUrl({parent}))[0].uploadUrl),
  generateDownloadUrl: async (c) => assert((await c.generateDownloadUrl({name: kept}))[0].downloadUrl),
  listRuntimes: async (c) => assert((await c.listRuntimes({parent}))[0].runtimes.length),
};
const runClient = {
  listServices: async (c) => assert((await c.services.listServices({parent}))[0].some((s) => s.name === service)),
  getService: async (c) => assert.equal((await c.services.getService({name: service}))[0].name, service),
  updateService: async (c) => {
    const wanted = {name: service, labels: {by: 'npm'}};
    const [operation] = await c.services.updateService({service: wanted, updateMask: {paths: ['labels']}});
    assert.equal((await operation.promise())[0].labels.by, 'npm');
  },
  'updateService, traffic': async (c) => {
    const wanted = {name: service, traffic: [{type: LATEST, percent: 100}]};
    const [operation] = await c.services.updateService({service: wanted, updateMask: {paths: ['traffic']}});
    assert.equal((await operation.promise())[0].trafficStatuses[0].percent, 100);
  },
  getIamPolicy: async (c) => assert((await c.services.getIamPolicy({resource: service}))[0].etag),
  setIamPolicy: async (c) => {
    const policy = {bindings: [{role: 'roles/run.invoker', members: ['allUsers']}]};
    const [found] = await c.services.setIamPolicy({resource: service, policy});
    assert.equal(found.bindings[0].role, 'roles/run.invoker');
  },
  testIamPermissions: async (c) => {
    const [found] = await c.services.testIamPermissions({resource: service, permissions: ['run.services.get']});
    assert.deepEqual(found.permissions, ['run.services.get']);
  },
  listRevisions: async (c) => assert((await c.revisions.listRevisions({parent: service}))[0].length),
  getRevision: async (c) => {
    const [[first]] = await c.revisions.listRevisions({parent: service});
    assert.equal((await c.revisions.getRevision({name: first.name}))[0].service, 'kept');
  },
  'deleteRevision of the latest': async (c) => {
    const [found] = await c.services.getService({name: service});
    await assert.rejects(c.revisions.deleteRevision({name: found.latestCreatedRevision}), {code: 400});
  },
  listJobs: async (c) => c.jobs.listJobs({parent}),
};
const googleapisCalls = {
  'functions.list': async () => assert((await apis.functions.functions.list({parent})).data.functions.length),
  'functions.list, orderBy': async () => {
    const {data} = await apis.functions.functions.list({parent, orderBy: 'name desc', filter: 'environment="GEN_2"'});
    assert(data.functions.length);
  },
  'functions.get': async () => assert.equal((await apis.functions.functions.get({name: kept})).data.name, kept),
  'functions.patch': async () => {
    const call = {name: kept, updateMask: 'labels', requestBody: {labels: {by: 'googleapis'}}};
    const {data} = await apis.functions.functions.patch(call);
    assert.equal((await finished(data)).response.labels.by, 'googleapis');
  },
  'functions.create and delete': async () => {
    const call = {parent, functionId: 'made-by-googleapis', requestBody: {buildConfig: await build()}};
    const made = await finished((await apis.functions.functions.create(call)).data);
    assert.equal(made.response.state, 'ACTIVE');
    await finished((await apis.functions.functions.delete({name: `${parent}/functions/made-by-googleapis`})).data);
  },
  'functions.generateDownloadUrl': async () => {
    const {data} = await apis.functions.functions.generateDownloadUrl({name: kept});
    assert.equal((await fetch(data.downloadUrl)).status, 200);
  },
  'functions.getIamPolicy': async () => assert((await apis.functions.functions.getIamPolicy({resource: kept})).data.etag),
  'functions.testIamPermissions': async () => {
    const call = {resource: kept, requestBody: {permissions: ['a.b']}};
    assert.deepEqual((await apis.functions.functions.testIamPermissions(call)).data.permissions, ['a.b']);
  },
  'operations.list': async () => assert((await apis.functions.operations.list({name: parent})).data.operations.length),
  'locations.list': async () => {
    const {data} = await apis.functions.list({name: `projects/${project}`});
    assert(data.locations.length);
  },
  'runtimes.list': async () => assert((await apis.functions.runtimes.list({parent})).data.runtimes.length),
  'services.list': async () => assert((await apis.run.services.list({parent})).data.services.length),
  'services.get': async () => assert.equal((await apis.run.services.get({name: service})).data.name, service),
  'services.patch': async () => {
    const call = {name: service, updateMask: 'annotations', requestBody: {annotations: {by: 'googleapis'}}};
    assert((await finished((await apis.run.services.patch(call)).data)).response);
  },
  'services.getIamPolicy': async () => assert((await apis.run.services.getIamPolicy({resource: service})).data.etag),
  'services.revisions.list': async () =>
    assert((await apis.run.services.revisions.list({parent: service})).data.revisions.length),
  'jobs.list': async () => apis.run.jobs.list({parent}),
  'spreadsheets.create': async () => assert(await book()),
  'spreadsheets.get': async () => {
    assert.equal((await apis.sheets.get({spreadsheetId: await book()})).data.properties.title, 'T');
  },
  'spreadsheets.batchUpdate': async () => {
    const requests = [{addSheet: {properties: {title: 'More'}}}];
    const {data} = await apis.sheets.batchUpdate({spreadsheetId: await book(), requestBody: {requests}});
    assert.equal(data.replies[0].addSheet.properties.title, 'More');
  },
  'values.get': async () => {
    const {data} = await apis.sheets.values.get({spreadsheetId: await book(), range: 'Sheet1'});
    assert.deepEqual(data.values, [['a', '1/2/2025'], ['b', '$3.50']]);
  },
  'values.append': async () => {
    const call = {range: 'Sheet1!A:B', valueInputOption: 'RAW', requestBody: {values: [['c', 3]]}};
    const {data} = await apis.sheets.values.append({spreadsheetId: await book(), ...call});
    assert.equal(data.updates.updatedRange, 'Sheet1!A3:B3');
  },
  'values.batchGet': async () => {
    const {data} = await apis.sheets.values.batchGet({spreadsheetId: await book(), ranges: ['Sheet1!A1', 'Sheet1!B2']});
    assert.deepEqual(data.valueRanges.map((one) => one.values[0][0]), ['a', '$3.50']);
  },
  'values.batchUpdate': async () => {
    const body = {valueInputOption: 'RAW', data: [{range: 'Sheet1!C1', values: [['z']]}]};
    const {data} = await apis.sheets.values.batchUpdate({spreadsheetId: await book(), requestBody: body});
    assert.equal(data.totalUpdatedCells, 1);
  },
  'values.clear': async () => {
    const {data} = await apis.sheets.values.clear({spreadsheetId: await book(), range: 'Sheet1!A1:B1'});
    assert.equal(data.clearedRange, 'Sheet1!A1:B1');
  },
};
const firebaseCalls = {
  'cloudfunctionsv2.listAllFunctions': async () => {
    const {functions} = await firebase.listAllFunctions(project);
    assert(functions.some((f) => f.name === kept));
  },
  'cloudfunctionsv2.getFunction': async () =>
    assert.equal((await firebase.getFunction(project, location, 'kept')).name, kept),
  'cloudfunctionsv2.generateUploadUrl': async () =>
    assert((await firebase.generateUploadUrl(project, location)).storageSource.object),
  'cloudfunctionsv2.createFunction': async () => {
    const wanted = {
      name: `${parent}/functions/made-by-firebase`, environment: 'GEN_2', labels: {}, buildConfig: await build(),
      serviceConfig: {availableMemory: '256Mi', environmentVariables: {}},
    };
    assert.equal((await finished(await firebase.createFunction(wanted))).response.state, 'ACTIVE');
  },
  'cloudfunctionsv2.updateFunction': async () => {
    const found = await firebase.getFunction(project, location, 'made-by-firebase');
    found.buildConfig.source = {storageSource: await uploaded()};
    found.serviceConfig.timeoutSeconds = 30;
    const done = await finished(await firebase.updateFunction(found));
    assert.equal(done.response.serviceConfig.timeoutSeconds, 30);
  },
  'cloudfunctionsv2.deleteFunction': async () => {
    const found = await firebase.getFunction(project, location, 'made-by-firebase');
    assert((await finished(await firebase.deleteFunction(found.name))).response);
  },
  'run.getIamPolicy': async () => assert((await firebaseIam.getIamPolicy(service)).etag),
  'run.setInvokerCreate': async () => {
    await firebaseIam.setInvokerCreate(project, service, ['public']);
    assert.equal((await firebaseIam.getIamPolicy(service)).bindings[0].members[0], 'allUsers');
  },
  'run.getService (v1)': async () => firebaseIam.getService(service),
  'runv2.getService': async () => assert((await firebaseRun.getService(project, location, 'kept')).name),
  'runv2.listServices': async () => assert((await firebaseRun.listServices(project, false)).length),
};
const families = {
  'npm @google-cloud/functions': [functionsClient, clients.functions],
  'npm @google-cloud/run': [runClient, clients],
  'npm googleapis': [googleapisCalls, null],
  'firebase-tools': [firebaseCalls, null],
};

(async () => {
  for (const [client, [calls, given]] of Object.entries(families)) {
    for (const [call, act] of Object.entries(calls)) {
      let error = '';
      try {
        await act(given);
      } catch (found) {
        error = [found, found.original].filter(Boolean).map((one) => one.message || String(one)).join(': ');
      }
      console.log(JSON.stringify({client, call, error}));
    }
  }
  process.exit(0);
})();
